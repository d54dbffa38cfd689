# shellcheck shell=bash
# What tests on a cluster need beyond the project's own parts: an image with services for them, and the environment in
# which pytest and the benches find it all.
# Sourced by test.sh and bench.sh.

test_image_folder=tests/support/image

# test_image_name WAY: its tag says what is in it.
test_image_name() {
  echo "plimsoll/test:$({
    project_image captions "$1"
    cd "$root" && project_files "$test_image_folder" requirements/testimage.txt | xargs -d '\n' sha256sum
  } | sha256sum | cut -c1-12)"
}

# test_image WAY: built from the captions image, which must be there.
test_image() {
  local image
  image=$(test_image_name "$1")
  if image_exists "$image"; then kept; return; fi
  image_build "$(project_image captions "$1")" "$test_image_folder/Dockerfile" "$image"
  forget_older test "$image"
}

# load_test_images NAME WAY: what the project's own parts need, and what tests add.
load_test_images() { load_project_images "$1" "$2" "$(test_image_name "$2")"; }

# test_environment NAME PORT WAY
test_environment() {
  export PATH=$bin:$PATH KUBECONFIG PLIMSOLL_CLUSTER=$1 PLIMSOLL_PORT=$2
  export PLIMSOLL_OPERATOR_IMAGE PLIMSOLL_CAPTIONS_IMAGE PLIMSOLL_TEST_IMAGE PLIMSOLL_POSTGRES_IMAGE=$POSTGRES_IMAGE
  KUBECONFIG=$(kubeconfig_of "$1")
  PLIMSOLL_OPERATOR_IMAGE=$(project_image operator "$3")
  PLIMSOLL_CAPTIONS_IMAGE=$(project_image captions "$3")
  PLIMSOLL_TEST_IMAGE=$(test_image_name "$3")
}
