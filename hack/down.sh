#!/usr/bin/env bash
# `make down`: removes the cluster of `make up`, and stops the engine when this cache started it and nothing else runs in
# it. `make clean` (down.sh --clean) removes every cluster that was made from this cache, and the cache.
set -euo pipefail
run_name=down
# shellcheck source=hack/lib/common.sh
. "${BASH_SOURCE[0]%/*}/lib/common.sh"
# shellcheck source=hack/lib/foundation.sh
. "$root/hack/lib/foundation.sh"

cluster_removed() { # NAME
  if ! engine_answers || { [ -z "$(nodes_of "$1")" ] && [ ! -d "$(cluster_folder "$1")" ]; }; then
    rm -rf "$(cluster_folder "$1")"
    kept "there is none"
    return
  fi
  if [ -n "$(nodes_of "$1")" ] && [ ! -d "$(cluster_folder "$1")" ]; then
    kept "the cluster $1 was made from another cache and stays"
    return
  fi
  if [ -x "$bin/kind" ]; then "$bin/kind" delete cluster --name "$1"; fi   # also forgets the user's kubectl context
  cluster_delete "$1"
}

engine_stopped() {
  if ! engine_is_ours; then
    kept "not started from this cache"
  else
    engine_stop
    if engine_is_ours; then kept "stays: other containers run in it"; fi
  fi
}

only_run
clusters=(plimsoll)
if [ "${1:-}" = --clean ]; then
  for name in "$cache"/clusters/*; do
    if [ -d "$name" ] && [ "${name##*/}" != plimsoll ]; then clusters+=("${name##*/}"); fi
  done
fi
progress_start $((${#clusters[@]} + 1))
for name in "${clusters[@]}"; do step "remove cluster $name" cluster_removed "$name"; done
step "Docker engine" engine_stopped
if [ "${1:-}" = --clean ]; then
  if engine_is_ours; then
    die "the engine that runs from $cache still holds other containers: remove them (\"docker ps\"), then \"make clean\" again"
  fi
  say "removing $cache"
  # An engine that was killed leaves its containers' file systems mounted; the innermost mount goes first.
  findmnt --raw --noheadings --output TARGET | awk -v under="$cache/" 'index($0, under) == 1' | sort --reverse |
    while IFS= read -r mount; do umount "$(printf '%b' "$mount")"; done
  chmod -R u+w "$cache/go" 2>/dev/null || true   # Go write-protects its module cache
  trap - EXIT
  progress_pause
  # The mark goes last: without it a run that was cut here could not be finished by another.
  find "$cache" -mindepth 1 -maxdepth 1 ! -name CACHEDIR.TAG -exec rm -rf {} +
  rm -rf "$cache"
else
  say "the cache stays in $cache, so that the next \"make up\" is fast; \"make clean\" removes it"
fi
