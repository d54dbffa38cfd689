#!/usr/bin/env bash
# `make mutants`: changes the arithmetic of operator/src/plimsoll/budget/ in one place after the other, and lists the changes
# that no test notices. Not part of `make test`: it takes half an hour. What is known of those that survive, and why each may,
# stands in tests/property/mutants.md. MUTANTS_PYTHON names another Python that has the project's requirements.
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
tests=(capacity demand fit ledger overdue several_budgets explain)

if [ -z "${MUTANTS_PYTHON:-}" ]; then
  python_packages
  install_packages
  venv_ready
  MUTANTS_PYTHON=$venv/bin/python
fi
tool=$cache/mutants-$cosmic_ray
if [ ! -x "$tool/bin/cosmic-ray" ]; then
  python3 -m venv "$tool"
  "$tool/bin/pip" install --quiet "cosmic-ray==$cosmic_ray"
fi

work=$(mktemp -d)   # the tool rewrites the files that it tests
trap 'rm -rf "$work"' EXIT
cp -r "$root/operator" "$root/service" "$root/tests" "$root/pyproject.toml" "$work"
cd "$work"
export PYTHONPATH=operator/src:service/src:tests PYTHONDONTWRITEBYTECODE=1
files=$(printf ' tests/unit/core/test_%s.py' "${tests[@]}")
# Left out: changes to annotations, which nothing evaluates; to the options of dataclasses; identity in the place of equality;
# and more than three other operators in the place of one.
cat >config.toml <<CONFIG
[cosmic-ray]
module-path = "operator/src/plimsoll/budget"
timeout = 120.0
excluded-modules = []
test-command = "$MUTANTS_PYTHON -m pytest -q -x -p no:cacheprovider$files"

[cosmic-ray.distributor]
name = "local"

[cosmic-ray.filters.operators-filter]
exclude-operators = [
  "core/ReplaceBinaryOperator_BitOr_.*",
  "core/ReplaceBinaryOperator_(Add|Sub|Mul|Div|FloorDiv|Mod)_(Pow|RShift|LShift|BitOr|BitAnd|BitXor|Mod|FloorDiv|Div)",
  "core/ReplaceUnaryOperator_USub_.*",
  "core/ReplaceTrueWithFalse",
  "core/ReplaceComparisonOperator_(Eq|NotEq|Lt|LtE|Gt|GtE)_Is(Not)?",
]
CONFIG
"$tool/bin/cosmic-ray" init config.toml session.sqlite
"$tool/bin/cr-filter-operators" session.sqlite config.toml
"$tool/bin/cosmic-ray" baseline config.toml
"$tool/bin/cosmic-ray" exec config.toml session.sqlite
"$tool/bin/cr-report" --surviving-only --show-diff session.sqlite | tee "$cache/mutants.txt"
