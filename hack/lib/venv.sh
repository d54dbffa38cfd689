# shellcheck shell=bash
# The Python environment of the checks and tests: pinned requirements by hash, the two distributions editable.
# Sourced by check.sh and test.sh.

# shellcheck source=hack/lib/secrets.sh
. "$root/hack/lib/secrets.sh"

venv=$cache/venv
unset PYTHONPATH   # what the caller's shell has there would be tested in the place of this clone

venv_ready() {
  local stamp python
  python=$(find_python) || no_python
  stamp=$venv/.made-$({
    cd "$root" && cat requirements/dev.txt requirements/build.txt operator/pyproject.toml service/pyproject.toml
    echo "$python" "$root"                # several clones may share a cache; each tests its own code
  } | sha256sum | cut -c1-12)
  exec 7>>"$cache/venv.lock"              # `make check` may run beside `make test`
  flock 7
  if [ ! -e "$stamp" ]; then
    uv_ready
    rm -rf "$venv"
    uv venv --quiet --python "$python" "$venv"
    uv pip install --quiet --python "$venv" --require-hashes \
      -r "$root/requirements/dev.txt" -r "$root/requirements/build.txt"
    # Built without isolation: the build backend is pinned with everything else.
    uv pip install --quiet --python "$venv" --no-deps --no-build-isolation --editable "$root/operator" --editable "$root/service"
    touch "$stamp"
  fi
  exec 7>&-
}

# Each check by name; all of them run, and what failed is named at the end.
static_checks() {
  local failed=()
  cd "$root" || return
  export PATH=$venv/bin:$PATH
  checked "ruff check" ruff check .
  checked "ruff format" ruff format --check .
  checked "mypy" mypy
  checked "import-linter" lint-imports --no-cache
  checked "shellcheck" shell_check
  checked "secrets" secret_scan
  if [ "${#failed[@]}" -gt 0 ]; then
    printf 'failed: %s\n' "${failed[*]}"
    return 1
  fi
}

checked() { # TITLE COMMAND…
  local title=$1 started=$EPOCHSECONDS output
  shift
  if output=$("$@" 2>&1); then
    printf '%-14s ok, %s s\n' "$title" $((EPOCHSECONDS - started))
  else
    printf '%-14s FAILED\n%s\n' "$title" "$output"
    failed+=("${title// /-}")
  fi
}

# Every shell script in the repository, by its first line; a library is checked as part of each script that sources it.
shell_check() {
  project_files . | while read -r file; do
    if head -n 1 "$file" | grep --quiet --extended-regexp '^#!.*\b(ba)?sh$'; then echo "$file"; fi
  done | xargs --delimiter '\n' --max-procs 2 --max-args 2 shellcheck --external-sources --check-sourced --source-path "$root"
}
