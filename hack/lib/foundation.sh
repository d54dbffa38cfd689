# shellcheck shell=bash
# What up.sh and test.sh have in common: the machine, then programs and images, made beside each other. The compiler is
# bound to the processors, the packages mostly to the network, so two lanes end sooner than one.

# shellcheck source=hack/lib/host.sh
. "$root/hack/lib/host.sh"
# shellcheck source=hack/lib/engine.sh
. "$root/hack/lib/engine.sh"
# shellcheck source=hack/lib/toolchain.sh
. "$root/hack/lib/toolchain.sh"
# shellcheck source=hack/lib/source.sh
. "$root/hack/lib/source.sh"
# shellcheck source=hack/lib/roots.sh
. "$root/hack/lib/roots.sh"
# shellcheck source=hack/lib/archive.sh
. "$root/hack/lib/archive.sh"
# shellcheck source=hack/lib/bases.sh
. "$root/hack/lib/bases.sh"
# shellcheck source=hack/lib/node.sh
. "$root/hack/lib/node.sh"
# shellcheck source=hack/lib/images.sh
. "$root/hack/lib/images.sh"
# shellcheck source=hack/lib/cluster.sh
. "$root/hack/lib/cluster.sh"

beside=()                               # further lanes that a script wants to run beside these

# shellcheck disable=SC2034  # the scripts add it to their own number of steps
foundation_steps=10

foundation() {
  step "system packages" host_packages
  step "Docker engine" engine_start
  step "image source" choose_way
  step "Go" go_ready
  way=$(chosen_way)
  local work
  for work in compile pack "${beside[@]}"; do lane "$work"; done
  join_lanes
  step "node image" node_image_ready "$way"
}

compile() { step "programs" binaries "$way"; }

pack() {
  step "python base image" python_image "$way"
  step "project images" project_images "$way"
  step "postgres image" postgres_image "$way"
  step "node root file systems" node_roots "$way"
}
