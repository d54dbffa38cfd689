#!/usr/bin/env bash
# `make test`: every tier, on a kind cluster of its own (plimsoll-test). Programs, images and the fast checks run beside
# each other; then one pytest run over all tiers, whose closing line is the last line printed: one lane for the cluster,
# which waits more than it works, and one for everything else (tests/conftest.py).
# Settings: KEEP=1 keeps the cluster for the next run, PLIMSOLL_TEST_CLUSTER and PLIMSOLL_TEST_PORT (two runs beside each
# other need different ones), PLIMSOLL_WORKERS, PLIMSOLL_IMAGES, PLIMSOLL_CACHE, PYTEST_ARGS. The tests get KUBECONFIG,
# PATH with the built kubectl and helm, PLIMSOLL_PORT, PLIMSOLL_CLUSTER and PLIMSOLL_OPERATOR_IMAGE,
# PLIMSOLL_CAPTIONS_IMAGE, PLIMSOLL_TEST_IMAGE, PLIMSOLL_POSTGRES_IMAGE: what is loaded into the cluster's nodes.
set -euo pipefail
run_name="test"
# shellcheck source=hack/lib/common.sh
. "${BASH_SOURCE[0]%/*}/lib/common.sh"
# shellcheck source=hack/lib/foundation.sh
. "$root/hack/lib/foundation.sh"
# shellcheck source=hack/lib/venv.sh
. "$root/hack/lib/venv.sh"
# shellcheck source=hack/lib/testing.sh
. "$root/hack/lib/testing.sh"

cluster=${PLIMSOLL_TEST_CLUSTER:-plimsoll-test}
port=${PLIMSOLL_TEST_PORT:-18080}
tiers=(tests/unit tests/property tests/chart tests/integration tests/examples tests/e2e)

# What lint finds fails the run, but not before the tests have run: one run says all there is to say.
# shellcheck disable=SC2329  # `step` calls it
static_checks_noted() {
  if ! static_checks; then
    touch "$run/static-failed"
    kept "FAILED"
  fi
}

# shellcheck disable=SC2329  # a lane
check_beside() {
  step "Python environment" venv_ready
  step "lint and types" static_checks_noted
}

only_run
enough_disk
port_available "$cluster" "$port" PLIMSOLL_TEST_PORT
progress_start $((foundation_steps + 6))
step "programs of the tests" test_programs
beside=(check_beside)
foundation
step "image for tests" test_image "$way"
step "cluster" cluster_ready "$cluster" "$way" "$port" "${PLIMSOLL_WORKERS:-2}"   # two: one of them is drained
step "images into the nodes" load_test_images "$cluster" "$way"

cd "$root"
test_environment "$cluster" "$port" "$way"
progress_pause
status=0
if [ -e "$run/static-failed" ]; then cat "$logs/lint-and-types.log" && status=1; fi
tests_started=$SECONDS
# shellcheck disable=SC2086  # several arguments in one variable
"$venv/bin/python" -m pytest --numprocesses=2 "${tiers[@]}" ${PYTEST_ARGS:-} || status=$?
printf 'tests\t%s\n' $((SECONDS - tests_started)) >>"$run/timings"

# From here on nothing is printed: pytest's closing line stays the last one.
if [ "$status" -ne 0 ]; then
  rm -rf "$logs/cluster"
  kind export logs "$logs/cluster" --name "$cluster" --quiet >/dev/null 2>&1 || true
fi
if [ "${KEEP:-}" != 1 ]; then
  cluster_delete "$cluster" >/dev/null 2>&1
  if [ -e "$run/engine-started" ]; then engine_stop >/dev/null 2>&1; fi
fi
exit "$status"
