#!/usr/bin/env bash
# `make up`: from a bare machine to a served request. Prepares the machine, makes images and a kind cluster, installs the
# operator, applies the quickstart and waits until all of it is Ready. A second run changes nothing.
# Settings: PLIMSOLL_PORT, PLIMSOLL_WORKERS, PLIMSOLL_IMAGES=auto|registry|build, PLIMSOLL_CACHE.
set -euo pipefail
run_name=up
# shellcheck source=hack/lib/common.sh
. "${BASH_SOURCE[0]%/*}/lib/common.sh"
# shellcheck source=hack/lib/foundation.sh
. "$root/hack/lib/foundation.sh"
# shellcheck source=hack/lib/release.sh
. "$root/hack/lib/release.sh"

cluster=plimsoll
port=${PLIMSOLL_PORT:-8080}
workers=${PLIMSOLL_WORKERS:-1}

run_up() {
  only_run
  enough_disk
  port_available "$cluster" "$port"
  progress_start $((foundation_steps + 5))
  foundation
  step "cluster" cluster_ready "$cluster" "$way" "$port" "$workers"
  step "images into the nodes" load_project_images "$cluster" "$way"
  step "operator" operator_installed "$cluster" "$way"
  step "quickstart" quickstart_ready "$cluster" "$way"
  step "first request" served "$port"
  hand_over "$cluster" "$port"
}

run_up
