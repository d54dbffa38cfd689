#!/usr/bin/env bash
# `make generate`: writes the committed files that are made from others. A test fails when one of them differs.
# `make requirements` (--requirements): writes the pins with hashes from the ranges, which does take newer versions.
set -euo pipefail
# shellcheck source=hack/lib/common.sh
. "${BASH_SOURCE[0]%/*}/lib/common.sh"
# shellcheck source=hack/lib/host.sh
. "$root/hack/lib/host.sh"
# shellcheck source=hack/lib/toolchain.sh
. "$root/hack/lib/toolchain.sh"
# shellcheck source=hack/lib/venv.sh
. "$root/hack/lib/venv.sh"

pins() { # NAME SOURCE…: requirements/NAME.txt; no registry's host in it, and good for every Python that we support
  local name=$1
  shift
  uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header \
    "$@" --output-file "requirements/$name.txt"
}

python_packages
install_packages
cd "$root"
if [ "${1:-}" = --requirements ]; then
  uv_ready
  pins dev operator/pyproject.toml service/pyproject.toml requirements/dev.in
  pins operator operator/pyproject.toml --constraint requirements/dev.txt
  pins service service/pyproject.toml --constraint requirements/dev.txt
  pins testimage requirements/testimage.in --constraint requirements/dev.txt
else
  venv_ready
  "$venv/bin/python" -m plimsoll.api.crd >"$cache/crds.yaml"
  mv "$cache/crds.yaml" chart/files/crds.yaml
  "$venv/bin/python" -m plimsoll.api.admission >"$cache/admission.yaml"
  mv "$cache/admission.yaml" chart/files/admission.yaml
  PYTHONPATH=tests "$venv/bin/python" -m support.chapters >"$cache/chapters.md"
  mv "$cache/chapters.md" docs/reference/service-chapters.md
  PYTHONPATH=tests "$venv/bin/python" -m support.variables >"$cache/environment.md"
  mv "$cache/environment.md" docs/reference/environment.md
fi
