# shellcheck shell=bash
# The container engine: use the one that runs, else start Debian's dockerd with all its state in the cache folder.
# Sourced by up.sh, test.sh and down.sh.

engine_pid_file=$cache/engine/dockerd.pid
engine_log=$cache/engine/dockerd.log

engine_answers() { timeout 20 docker version --format '{{.Server.Version}}' >/dev/null 2>&1; }

# Ours, and alive: a stale pid file may name a stranger by now, or a process that nobody has reaped, which has no program.
engine_is_ours() {
  [ -s "$engine_pid_file" ] && [[ $(readlink "/proc/$(<"$engine_pid_file")/exe") == */dockerd ]]
}

engine_packages() {
  missing=()
  if ! engine_answers; then
    if [ -n "${DOCKER_HOST:-}" ]; then
      die "DOCKER_HOST is $DOCKER_HOST and no engine answers there: start it, or unset DOCKER_HOST"
    fi
    if ! command -v dockerd >/dev/null && command -v apt-get >/dev/null && [ "$(id -u)" -eq 0 ]; then apt-get update || true; fi
    # shellcheck disable=SC2046  # one word per package
    need dockerd docker.io $(if_known docker-cli) $(if_known docker-buildx)
    need docker docker.io
    need iptables iptables
    need jq jq
  fi
}

engine_start() {
  # A service manager may be starting it at this moment, after the package was installed.
  local waited=0
  while ! engine_answers && [ "$waited" -lt 20 ] && systemctl is-active --quiet docker 2>/dev/null; do
    waited=$((waited + 1))
    sleep 0.5
  done
  if engine_answers; then
    kept "running already, version $(docker version --format '{{.Server.Version}}')"
    return
  fi
  if [ "$(id -u)" -ne 0 ]; then
    die "no Docker engine answers and starting one takes root: run this command with sudo," \
      "or \"sudo systemctl start docker\" first"
  fi
  mkdir -p "$cache/engine"
  rm -f "$engine_pid_file"
  local options=(--data-root "$cache/docker" --pidfile "$engine_pid_file")
  if ! may_raise_limits; then
    detail "without CAP_SYS_RESOURCE"
    options+=(--add-runtime "limited=$root/hack/engine/runc-limited" --default-runtime limited)
  fi
  # A session of its own: the engine outlives this run, and no descriptor of ours, the lock least of all, stays open in it.
  setsid dockerd "${options[@]}" >>"$engine_log" 2>&1 </dev/null 3>&- 9>&- &
  local daemon=$! deadline=$((SECONDS + 60))
  while [ "$SECONDS" -lt "$deadline" ] && kill -0 "$daemon" 2>/dev/null; do
    if engine_answers; then
      touch "$run/engine-started"
      return
    fi
    sleep 0.5
  done
  die "the Docker engine did not start; the reason is at the end of $engine_log: $(grep -v level=info "$engine_log" | tail -n 1)"
}

may_raise_limits() {
  local bounding
  bounding=$(awk '/^CapBnd/ { print $2 }' /proc/self/status)
  (((0x$bounding >> 24) & 1))           # CAP_SYS_RESOURCE is capability 24
}

# Stops the engine that this cache started, unless something else still runs in it.
engine_stop() {
  if ! engine_is_ours; then return; fi
  if [ -n "$(docker ps --quiet)" ]; then
    echo "other containers run in it"
    return
  fi
  local deadline=$((SECONDS + 60))
  kill "$(<"$engine_pid_file")"
  while engine_is_ours; do
    if [ "$SECONDS" -ge "$deadline" ]; then die "the Docker engine does not stop; its log is $engine_log"; fi
    sleep 0.2
  done
  rm -f "$engine_pid_file"
}

# The client that can build with BuildKit: up to version 22 it is built in, later ones ask for the buildx plugin.
builder() {
  local client
  for client in "$(command -v docker)" /usr/bin/docker; do
    if "$client" buildx version >/dev/null 2>&1 ||
      [ "$("$client" version --format '{{.Client.Version}}' | cut -d. -f1)" -lt 23 ]; then
      echo "$client"
      return
    fi
  done
  die "no docker client here can build with BuildKit: install the buildx plugin (\"apt-get install docker-buildx\")"
}
