# shellcheck shell=bash
# Debian root file systems, made by mmdebstrap from the machine's own mirror: what images are based on without a registry.
# Sourced by bases.sh and node.sh.

# The suite's sources on the mirrors that this machine's apt uses for Debian; none on another system, where mmdebstrap
# has its own default.
debian_sources() {
  command -v apt-get >/dev/null || return 0
  # shellcheck disable=SC2016  # apt's own place-holders
  apt-get indextargets --format '$(ORIGIN) $(LABEL) $(REPO_URI)' 'Created-By: Packages' | sort -u |
    while read -r origin label uri; do
      case "$origin $label" in
        "Debian Debian") printf 'deb %s %s main\ndeb %s %s-updates main\n' "$uri" "$SUITE" "$uri" "$SUITE" ;;
        "Debian Debian-Security") printf 'deb %s %s-security main\n' "$uri" "$SUITE" ;;
      esac
    done
}

# debian_root FILE VARIANT PACKAGES [OPTION…]: a tar of a minimal Debian with these packages, without manuals.
debian_root() {
  local file=$1 variant=$2 packages=$3 sources option=()
  shift 3
  sources=$(debian_sources)
  if [ -n "$sources" ]; then option=(-); fi
  mkdir -p "${file%/*}"
  # mmdebstrap hands the next free descriptor to a shell that knows only those below 10: ours are closed for it.
  mmdebstrap --format=tar --variant="$variant" --include="$packages" \
    --aptopt='Acquire::Retries "3"' \
    --dpkgopt='path-exclude=/usr/share/doc/*' --dpkgopt='path-exclude=/usr/share/man/*' \
    --dpkgopt='path-exclude=/usr/share/locale/*' --dpkgopt='path-include=/usr/share/doc/*/copyright' \
    "$@" "$SUITE" "$file.new" "${option[@]}" <<<"$sources" 3>&- 9>&-
  mv "$file.new" "$file"
}

image_exists() { docker image inspect "$1" >/dev/null 2>&1; }

# import_root TAG FILE CHANGE…: the root as an image.
import_root() {
  local tag=$1 file=$2 change options=()
  shift 2
  for change; do options+=(--change "$change"); done
  docker import "${options[@]}" "$file" "$tag"
}
