# shellcheck shell=bash
# What up.sh and test.sh have in common: the machine, then programs and images, made beside each other. The compiler is
# bound to the processors, the packages mostly to the network, so two lanes end sooner than one.

for library in host engine toolchain source roots archive bases node images cluster; do
  # shellcheck source=/dev/null
  . "$root/hack/lib/$library.sh"
done

# shellcheck disable=SC2034  # the scripts add it to their own number of steps
foundation_steps=10

foundation() {
  step "system packages" host_packages
  step "Docker engine" engine_start
  step "image source" choose_way
  step "Go" go_ready
  way=$(chosen_way)
  lane compile
  lane pack
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
