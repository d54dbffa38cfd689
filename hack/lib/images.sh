# shellcheck shell=bash
# The project's own images, operator and captions, tagged with a hash of everything that goes into them.
# Sourced by up.sh and test.sh.

project_names=(operator captions)

folder_of_image() { case $1 in captions) echo service ;; *) echo "$1" ;; esac; }

# image_inputs NAME: the files that this image is made from.
image_inputs() {
  local folder
  folder=$(folder_of_image "$1")
  project_files "$folder" "requirements/$folder.txt" .dockerignore
}

# project_image NAME WAY: the image's name with its hash as tag; the same inputs give the same name everywhere. Decided
# once in a run: somebody may be editing while it lasts.
project_image() {
  local decided=$run/image.$1
  if [ ! -s "$decided" ]; then
    echo "plimsoll/$1:$({
      python_base "$2"
      cd "$root" && image_inputs "$1" | xargs -d '\n' sha256sum
    } | sha256sum | cut -c1-12)" >"$decided"
  fi
  cat "$decided"
}

# image_build BASE DOCKERFILE IMAGE: with the repository's root as context.
image_build() {
  local options=() variable
  # Proxies are part of the machine, not of the image; Docker knows these names without a declaration.
  for variable in HTTP_PROXY HTTPS_PROXY NO_PROXY http_proxy https_proxy no_proxy; do
    if [ -n "${!variable:-}" ]; then options+=(--build-arg "$variable=${!variable}"); fi
  done
  if [ -s "$ca_bundle" ]; then options+=(--secret "id=ca,src=$ca_bundle"); fi
  DOCKER_BUILDKIT=1 "$(builder)" build --progress plain --file "$root/$2" --build-arg BASE_IMAGE="$1" "${options[@]}" \
    --tag "$3" "$root"
}

project_images() {
  local name image built=0
  for name in "${project_names[@]}"; do
    image=$(project_image "$name" "$1")
    if ! image_exists "$image"; then
      detail "$name"
      image_build "$(python_base "$1")" "$(folder_of_image "$name")/Dockerfile" "$image"
      forget_older "$name" "$image"
      built=$((built + 1))
    fi
    docker tag "$image" "plimsoll/$name:$RELEASE"
  done
  if [ "$built" -eq 0 ]; then kept; fi
}

# forget_older NAME IMAGE: earlier hashes of an image, or the disk fills with every edit; the build cache knows their layers.
forget_older() {
  docker image ls --format '{{.Repository}}:{{.Tag}}' "plimsoll/$1" | while read -r image; do
    if [[ $image =~ :[0-9a-f]{12}$ ]] && [ "$image" != "$2" ]; then docker image rm "$image" || true; fi
  done
}

# load_project_images NAME WAY [IMAGE…]: under their hashes, and under the release's tag, by which the examples name them;
# and further images, in one stream, since they share layers.
load_project_images() {
  local project image node
  load_images "$1" "$(project_image operator "$2")" "$(project_image captions "$2")" "$POSTGRES_IMAGE" "${@:3}"
  for project in "${project_names[@]}"; do
    image=$(full_name "$(project_image "$project" "$2")")
    for node in $(nodes_with_pods "$1"); do
      docker exec "$node" ctr --namespace k8s.io images tag --force "$image" "${image%:*}:$RELEASE" >/dev/null
    done
  done
}
