# shellcheck shell=bash
# The image that a cluster's nodes run: kind's own, pulled, or one built from the Go module proxy and Debian.
# Sourced by up.sh and test.sh.

node_packages=systemd,systemd-sysv,dbus,containerd,runc,containernetworking-plugins,iptables,nftables,iproute2,conntrack
node_packages+=,ethtool,socat,kmod,mount,util-linux,procps,hostname,jq,curl,ca-certificates

# The name of the built node image says what is in it: the same inputs are never built twice.
built_node_image() {
  echo "plimsoll/node:v$KUBERNETES-$({
    echo "$SUITE $node_packages"
    cat "$root"/hack/images/node/* "$root"/hack/node/go.mod "$root"/hack/node/*/*.go "$root/hack/lib/archive.sh"
  } | sha256sum | cut -c1-12)"
}

# node_image WAY: answers with the image's name; the steps below see to it that it is there.
node_image() {
  local image
  if [ "$1" = build ]; then
    built_node_image
    return
  fi
  for image in $NODE_IMAGES; do
    if image_exists "$image"; then
      echo "$image"
      return
    fi
  done
  return 1
}

# Debian's half of the image, independent of the Go build and so made beside it.
node_roots() {
  if [ "$1" = registry ]; then kept "not needed with a registry"; return; fi
  if image_exists "$(built_node_image)"; then kept; return; fi
  if [ ! -e "$cache/roots/node.tar" ]; then
    detail "systemd and containerd"
    debian_root "$cache/roots/node.tar" essential "$node_packages"
  fi
  if [ ! -e "$cache/roots/kube-proxy.tar" ]; then
    detail "kube-proxy's iptables"
    debian_root "$cache/roots/kube-proxy.tar" minbase iptables,nftables,kmod
  fi
}

node_image_ready() {
  local image
  if [ "$1" = registry ]; then
    if node_image registry; then kept; return; fi
    for image in $NODE_IMAGES; do
      detail "pulling $image"
      if docker pull "$image"; then return; fi
    done
    die "none of the node images ($NODE_IMAGES) can be pulled: run again with PLIMSOLL_IMAGES=build, which builds one"
  fi
  image=$(built_node_image)
  if image_exists "$image"; then kept; return; fi
  local context=$cache/node-context
  rm -rf "$context"
  mkdir -p "$context/programs"
  cp "$root"/hack/images/node/* "$context/"
  cp -r "$(go_run list -m -f '{{.Dir}}' sigs.k8s.io/kind)/images/base/files" "$context/files"
  chmod -R u+w "$context/files"
  mkdir -p "$context/files/kind" && printf 'v%s' "$KUBERNETES" >"$context/files/kind/version"
  ln "$bin"/{kubeadm,kubelet,kubectl} "$context/programs/"
  detail "control plane images"
  control_plane_archive "$context/images.tar" "$context/files/etc/containerd/config.toml"
  detail "root file system"
  import_root plimsoll/node-root "$cache/roots/node.tar"
  detail "node image"
  DOCKER_BUILDKIT=1 "$(builder)" build --tag "$image" "$context"
  rm -rf "$context" "$cache/roots"
}
