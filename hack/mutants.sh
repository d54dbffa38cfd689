#!/usr/bin/env bash
# `make mutants`: changes the arithmetic of operator/src/plimsoll/budget/ in one place after the other, and lists the changes
# that no test notices. Not part of `make test`: it takes minutes. What is known of those that survive, and why, stands in
# tests/property/mutants.md. MUTANTS_PYTHON names another Python that has the project's requirements.
set -euo pipefail
run_name=mutants
# shellcheck source=hack/lib/common.sh
. "${BASH_SOURCE[0]%/*}/lib/common.sh"
# shellcheck source=hack/lib/host.sh
. "$root/hack/lib/host.sh"
# shellcheck source=hack/lib/toolchain.sh
. "$root/hack/lib/toolchain.sh"
# shellcheck source=hack/lib/venv.sh
. "$root/hack/lib/venv.sh"

cosmic_ray=8.7.0   # in an environment of its own: its requirements are none of the project's
tests=(test_capacity test_demand test_fit test_ledger test_explain test_several_budgets test_life_of_a_service test_overdue)

if [ -z "${MUTANTS_PYTHON:-}" ]; then
  python_packages
  install_packages
  venv_ready
  MUTANTS_PYTHON=$venv/bin/python
fi
tool=$cache/mutants-$cosmic_ray
if [ ! -x "$tool/bin/cosmic-ray" ]; then
  "$MUTANTS_PYTHON" -m venv "$tool" 2>/dev/null || python3 -m venv "$tool"
  "$tool/bin/pip" install --quiet "cosmic-ray==$cosmic_ray"
fi
work=$(mktemp -d)                 # the tool rewrites the files that it tests
trap 'rm -rf "$work"' EXIT
cp -r "$root/operator" "$root/service" "$root/tests" "$root/pyproject.toml" "$work"
cd "$work"
export PYTHONPATH=operator/src:service/src:tests PYTHONDONTWRITEBYTECODE=1 PLIMSOLL_EXAMPLES=20
command="$MUTANTS_PYTHON -m pytest -q -x -p no:cacheprovider ${tests[*]/#/tests/unit/core/}"
cat >config.toml <<CONFIG
[cosmic-ray]
module-path = "operator/src/plimsoll/budget"
timeout = 120.0
excluded-modules = []
test-command = "${command// tests/ tests}"
[cosmic-ray.distributor]
name = "local"
CONFIG
sed -i -E 's#(tests/unit/core/test_[a-z_]+)#\1.py#g' config.toml
"$tool/bin/cosmic-ray" init config.toml session.sqlite
"$tool/bin/cr-filter-pragma" session.sqlite 2>/dev/null || true
"$tool/bin/cosmic-ray" baseline config.toml
"$tool/bin/cosmic-ray" exec config.toml session.sqlite
"$tool/bin/cr-report" --surviving-only --show-diff session.sqlite | tee "$cache/mutants.txt"
