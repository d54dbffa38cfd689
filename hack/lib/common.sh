# shellcheck shell=bash
# What every script of hack/ starts with: where things lie, the versions, one run at a time.
# Sourced first; expects `set -euo pipefail` from the script that sources it.
# shellcheck disable=SC2034  # read by the scripts and libraries that follow

root=$(cd "${BASH_SOURCE[0]%/*}/../.." && pwd)
cache=${PLIMSOLL_CACHE:-$root/.cache}
mkdir -p "$cache"
cache=$(cd "$cache" && pwd)
bin=$cache/bin
ca_bundle=${SSL_CERT_FILE:-/etc/ssl/certs/ca-certificates.crt}

# shellcheck source=hack/versions.env
. "$root/hack/versions.env"
# shellcheck source=hack/lib/progress.sh
. "$root/hack/lib/progress.sh"

# Two runs in one cache would build the same files under each other. The lock is held by this shell's descriptor 9
# and goes with it, whatever ends it.
only_run() {
  exec 9>>"$cache/lock"
  if ! flock --nonblock 9; then
    die "another run is using $cache (process $(<"$cache/lock.pid")): wait for it to end," \
      "or set PLIMSOLL_CACHE to another folder"
  fi
  echo $$ >"$cache/lock.pid"
}

# Disk that a cold run fills, by measurement: Go modules and build cache 5 GB, images and clusters 6 GB, the rest 1 GB.
# A warm cache needs room only for another cluster.
enough_disk() {
  local need=12 have
  if [ -e "$cache/go/build" ]; then need=4; fi
  have=$(($(df --output=avail --block-size=1M "$cache" | tail -1) / 1024))
  if [ "$have" -lt "$need" ]; then
    die "not enough disk: $cache lies on a file system with $have GB free and this run needs $need GB;" \
      "free some, or set PLIMSOLL_CACHE to a folder on a larger one"
  fi
}

hash_of() { sha256sum "$@" | sha256sum | cut -c1-12; }
