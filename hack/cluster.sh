#!/usr/bin/env bash
# `make cluster`: an empty kind cluster by name, for trying things out: everything of `make up` but the project's own parts.
# Usage: hack/cluster.sh [NAME [PORT]]
set -euo pipefail
run_name=cluster
# shellcheck source=hack/lib/common.sh
. "${BASH_SOURCE[0]%/*}/lib/common.sh"
# shellcheck source=hack/lib/foundation.sh
. "$root/hack/lib/foundation.sh"

cluster=${1:-plimsoll}
port=${2:-${PLIMSOLL_PORT:-8080}}

project_images() { kept "left out"; }

only_run
enough_disk
port_available "$cluster" "$port"
progress_start $((foundation_steps + 1))
foundation
step "cluster" cluster_ready "$cluster" "$way" "$port" "${PLIMSOLL_WORKERS:-1}"
say "cluster $cluster is ready: export KUBECONFIG=$(kubeconfig_of "$cluster") PATH=$bin:\$PATH"
