#!/usr/bin/env bash
# `make bench-line`: one of the benches that need a cluster (tests/bench/NAME.py), on the cluster of `make test`, which is
# made where there is none. Usage: hack/bench.sh NAME [ARGUMENT…]
# Settings: KEEP=1 keeps the cluster, PLIMSOLL_TEST_CLUSTER, PLIMSOLL_TEST_PORT, PLIMSOLL_IMAGES, PLIMSOLL_CACHE.
set -euo pipefail
run_name="bench-$1"
# shellcheck source=hack/lib/common.sh
. "${BASH_SOURCE[0]%/*}/lib/common.sh"
# shellcheck source=hack/lib/foundation.sh
. "$root/hack/lib/foundation.sh"
# shellcheck source=hack/lib/venv.sh
. "$root/hack/lib/venv.sh"
# shellcheck source=hack/lib/release.sh
. "$root/hack/lib/release.sh"
# shellcheck source=hack/lib/testing.sh
. "$root/hack/lib/testing.sh"

cluster=${PLIMSOLL_TEST_CLUSTER:-plimsoll-test}
port=${PLIMSOLL_TEST_PORT:-18080}

only_run
enough_disk
port_available "$cluster" "$port" PLIMSOLL_TEST_PORT
progress_start $((foundation_steps + 5))
beside=(python_beside)
# shellcheck disable=SC2329  # a lane
python_beside() { step "Python environment" venv_ready; }
foundation
step "image for tests" test_image "$way"
step "cluster" cluster_ready "$cluster" "$way" "$port" 2
step "images into the nodes" load_test_images "$cluster" "$way"
step "operator" operator_installed "$cluster" "$way"

cd "$root"
test_environment "$cluster" "$port" "$way"
progress_pause
status=0
PYTHONPATH=$root/tests "$venv/bin/python" -m "bench.$1" "${@:2}" || status=$?
if [ "${KEEP:-}" != 1 ]; then
  cluster_delete "$cluster" >/dev/null 2>&1
  if [ -e "$run/engine-started" ]; then engine_stop >/dev/null 2>&1; fi
fi
exit "$status"
