#!/usr/bin/env bash
# `make images`: the project's images and the base image they stand on, without a cluster; prints their names.
set -euo pipefail
run_name=images
# shellcheck source=hack/lib/common.sh
. "${BASH_SOURCE[0]%/*}/lib/common.sh"
# shellcheck source=hack/lib/foundation.sh
. "$root/hack/lib/foundation.sh"

only_run
progress_start 5
step "system packages" host_packages
step "Docker engine" engine_start
step "image source" choose_way
way=$(chosen_way)
step "python base image" python_image "$way"
step "project images" project_images "$way"
for name in "${project_names[@]}"; do say "$(project_image "$name" "$way")"; done
