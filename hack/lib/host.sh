# shellcheck shell=bash
# The host: which system packages are missing, and installing them where we may.
# Sourced by what needs the machine: up.sh and test.sh, whose first step it is, check.sh, the benches.

# need COMMAND PACKAGE…: collects packages for commands that are not there.
need() {
  local command=$1
  shift
  if ! PATH=$PATH:/usr/sbin:/sbin command -v "$command" >/dev/null; then missing+=("$@"); fi
}

# A package that exists only in some Debian releases: newer ones split docker.io into engine, client and builder.
if_known() { if apt-cache show "$1" >/dev/null 2>&1; then echo "$1"; fi; }

# install_packages: what `missing` names, or one sentence with the command that would.
install_packages() {
  if [ "${#missing[@]}" -eq 0 ]; then return; fi
  local names="${missing[*]}"
  if ! command -v apt-get >/dev/null; then
    die "this machine lacks $names and has no apt-get to install them: run \"$(foreign_install) ${names}\"" \
      "(names may differ), then this command again"
  fi
  if [ "$(id -u)" -ne 0 ]; then
    die "this machine lacks $names and installing them takes root: run \"sudo apt-get install --yes ${names}\"," \
      "then this command again"
  fi
  detail "$names"
  export DEBIAN_FRONTEND=noninteractive
  # Lists may be absent or older than the mirror; a source that fails to update need not be the one that we want.
  apt-get update || true
  apt-get install --yes --no-install-recommends "${missing[@]}"
}

foreign_install() {
  local manager
  for manager in dnf yum zypper apk pacman brew; do
    if command -v "$manager" >/dev/null; then
      case $manager in pacman) echo "pacman -S" ;; apk) echo "apk add" ;; *) echo "$manager install" ;; esac
      return
    fi
  done
  echo "your package manager's install command for"
}

# What every run needs on the machine before anything else; what only a build needs is added when that is chosen.
host_packages() {
  local for_engine
  engine_packages
  for_engine=("${missing[@]}")
  python_packages
  missing+=("${for_engine[@]}")
  installed_or_kept
}

# Tests and benches start servers of their own and run what the services' images have; the machine only has to have the
# programs, not a running cluster of PostgreSQL. Steps.
postgres_programs() {
  missing=()
  need_postgres
  installed_or_kept
}

test_programs() {
  missing=()
  need_postgres
  need tesseract tesseract-ocr tesseract-ocr-eng
  installed_or_kept
}

need_postgres() {
  if compgen -G '/usr/lib/postgresql/*/bin/postgres' >/dev/null || command -v postgres >/dev/null; then return; fi
  if [ "$(id -u)" -eq 0 ] && [ -d /etc/apt ] && [ ! -e /etc/postgresql-common/createcluster.conf ]; then
    mkdir -p /etc/postgresql-common
    echo "create_main_cluster = false" >/etc/postgresql-common/createcluster.conf
  fi
  missing+=(postgresql)
}

installed_or_kept() {
  if [ "${#missing[@]}" -eq 0 ]; then kept "all there"; return; fi
  install_packages
}
