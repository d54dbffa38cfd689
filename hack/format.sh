#!/usr/bin/env bash
# `make format`: lets ruff rewrite what it can mend.
set -euo pipefail
# shellcheck source=hack/lib/common.sh
. "${BASH_SOURCE[0]%/*}/lib/common.sh"
# shellcheck source=hack/lib/host.sh
. "$root/hack/lib/host.sh"
# shellcheck source=hack/lib/toolchain.sh
. "$root/hack/lib/toolchain.sh"
# shellcheck source=hack/lib/venv.sh
. "$root/hack/lib/venv.sh"
python_packages
install_packages
venv_ready
cd "$root"
"$venv/bin/ruff" check --fix-only .
"$venv/bin/ruff" format .
