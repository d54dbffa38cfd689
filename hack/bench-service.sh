#!/usr/bin/env bash
# `make bench-service`: what the runtime's middlewares cost (tests/bench/service.py), and what engines and clients of a
# process save over those of a request (tests/bench/lifespan.py). Needs no cluster, but two cores that have nothing else
# to do. Usage: hack/bench-service.sh [ARGUMENT…], for the first of the two
set -euo pipefail
run_name=bench-service
# shellcheck source=hack/lib/common.sh
. "${BASH_SOURCE[0]%/*}/lib/common.sh"
# shellcheck source=hack/lib/host.sh
. "$root/hack/lib/host.sh"
# shellcheck source=hack/lib/toolchain.sh
. "$root/hack/lib/toolchain.sh"
# shellcheck source=hack/lib/venv.sh
. "$root/hack/lib/venv.sh"

# shellcheck disable=SC2329  # `step` calls it
packages() {
  python_packages
  need taskset util-linux
  install_packages
}

only_run
progress_start 3
step "packages" packages
step "PostgreSQL programs" postgres_programs
step "Python environment" venv_ready
progress_pause
cd "$root"
export PYTHONPATH=$root/tests
"$venv/bin/python" -m bench.lifespan
"$venv/bin/python" -m bench.service "$@"
