# shellcheck shell=bash
# Container images without an engine: a static program, or one on top of a root file system, as a tar that containerd
# imports. The node image carries the control plane's images in this form.
# Sourced by node.sh.

# archive_layer FOLDER FILE: adds a layer file to the archive folder; answers with its digest.
archive_layer() {
  local digest
  digest=$(sha256sum "$2" | cut -d' ' -f1)
  mkdir -p "$1/$digest"
  ln -f "$2" "$1/$digest/layer.tar"
  echo "$digest"
}

# archive_image FOLDER NAME PROGRAM [ROOT]: adds an image that runs PROGRAM, which lies in /usr/local/bin.
archive_image() {
  local folder=$1 name=$2 program=$3 base=${4:-} config layers=() digest
  if [ -n "$base" ]; then layers+=("$(archive_layer "$folder" "$base")"); fi
  tar --create --file "$folder/program.tar" --owner=0 --group=0 --mtime=@0 --directory "${program%/*}" \
    --transform 's#^#usr/local/bin/#' "${program##*/}"
  layers+=("$(archive_layer "$folder" "$folder/program.tar")")
  rm "$folder/program.tar"
  config=$(jq --null-input --compact-output --arg program "/usr/local/bin/${program##*/}" \
    --arg arch "$(go_run env GOARCH)" \
    '{architecture: $arch, os: "linux",
      config: {Entrypoint: [$program], Env: ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"]},
      rootfs: {type: "layers", diff_ids: [$ARGS.positional[] | "sha256:" + .]}}' --args "${layers[@]}")
  digest=$(printf %s "$config" | sha256sum | cut -d' ' -f1)
  printf %s "$config" >"$folder/$digest.json"
  jq --null-input --compact-output --arg config "$digest.json" --arg name "$name" \
    '{Config: $config, RepoTags: [$name], Layers: [$ARGS.positional[] | . + "/layer.tar"]}' --args "${layers[@]}" \
    >>"$folder/entries"
}

# control_plane_archive FILE CONTAINERD_CONFIG: every image that kubeadm of this version asks for, under the names and
# tags that it asks for, the sandbox image that containerd's configuration names, and metrics-server's.
control_plane_archive() {
  local folder=$1.d name program
  rm -rf "$folder" && mkdir -p "$folder"
  while read -r name; do
    program=${name##*/}
    program=${program%%:*}
    case $program in
      pause) ;;
      kube-proxy) archive_image "$folder" "$name" "$bin/$program" "$cache/roots/kube-proxy.tar" ;;
      *) archive_image "$folder" "$name" "$bin/$program" ;;
    esac
  done < <("$bin/kubeadm" config images list --kubernetes-version "v$KUBERNETES" 2>/dev/null)
  name=$(sed -n 's/^ *sandbox_image = "\(.*\)"/\1/p' "$2")
  archive_image "$folder" "$name" "$bin/pause"
  archive_image "$folder" "registry.k8s.io/metrics-server/metrics-server:v$METRICS_SERVER" "$bin/metrics-server"
  jq --slurp . "$folder/entries" >"$folder/manifest.json"
  rm "$folder/entries"
  tar --create --file "$1" --directory "$folder" --hard-dereference .
  rm -rf "$folder"
}
