#!/usr/bin/env bash
# `make check`: the fast loop. Lint, format, types, import rules, shell scripts, a secret scan, then the tests that need
# neither Docker nor a database. `make lint` (check.sh --static) leaves the tests out.
set -euo pipefail
run_name=check
# shellcheck source=hack/lib/common.sh
. "${BASH_SOURCE[0]%/*}/lib/common.sh"
# shellcheck source=hack/lib/host.sh
. "$root/hack/lib/host.sh"
# shellcheck source=hack/lib/toolchain.sh
. "$root/hack/lib/toolchain.sh"
# shellcheck source=hack/lib/venv.sh
. "$root/hack/lib/venv.sh"

fast_tiers=(tests/unit tests/property tests/chart)

python_packages
install_packages
if [ "${1:-}" != --static ] && ! programs_built registry; then   # the chart's tests need helm
  progress_start 2
  step "Go" go_ready
  step "programs" binaries registry
  progress_pause
fi
venv_ready
status=0
(static_checks) || status=$?
if [ "${1:-}" != --static ]; then
  cd "$root"
  PATH=$bin:$PATH "$venv/bin/python" -m pytest -q "${fast_tiers[@]}" || status=$?
fi
exit "$status"
