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

# `make clean` removes the cache whole: a folder that holds anything else is not taken for one. The mark is the one by which
# backup programs know a cache, too.
mark=$cache/CACHEDIR.TAG
if [ ! -e "$mark" ] && [ -n "$(ls -A "$cache")" ]; then
  die "$cache is not empty and no cache of ours (it has no CACHEDIR.TAG): set PLIMSOLL_CACHE to a folder of its own"
fi
echo "Signature: 8a477f597d28d172789f06886806bc55" >"$mark"

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

# Disk that a cold run fills, by measurement: Go modules and build cache 4 GB, images and clusters 9 GB, the rest 2 GB.
# A warm cache needs room only for another cluster.
enough_disk() {
  local need=15 have
  if [ -e "$cache/go/build" ]; then need=5; fi
  have=$(($(df --output=avail --block-size=1M "$cache" | tail -1) / 1024))
  if [ "$have" -lt "$need" ]; then
    die "not enough disk: $cache lies on a file system with $have GB free and this run needs $need GB;" \
      "free some, or set PLIMSOLL_CACHE to a folder on a larger one"
  fi
}

# project_files PATH…: the files that git tracks or would track; in an unpacked archive without git, all but leftovers.
# The owner of the checkout may be another user than root: what git calls unsafe is what we are asked to build.
project_files() {
  local file
  if git -c safe.directory="$root" -C "$root" rev-parse --git-dir >/dev/null 2>&1; then
    git -c safe.directory="$root" -C "$root" ls-files --cached --others --exclude-standard -- "$@"
  else
    (cd "$root" && find "$@" -type f -not -path '*/.*/*' -not -path '*/__pycache__/*' -not -path '*.egg-info/*')
  fi | sort -u | while read -r file; do if [ -f "$root/$file" ]; then echo "$file"; fi; done
}

hash_of() { sha256sum "$@" | sha256sum | cut -c1-12; }
