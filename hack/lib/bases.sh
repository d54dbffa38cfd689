# shellcheck shell=bash
# The images that ours stand on, python and postgres: pulled, or built from Debian where no registry answers.
# Sourced by up.sh and test.sh. Sets nothing; the names it answers with are the same on every run.

python_packages_in_image=python3,python3-venv,python-is-python3,ca-certificates
postgres_packages_in_image=postgresql-$POSTGRES,ca-certificates
# The just-in-time compiler is half of the server's size; the server does without when its library is not there.
postgres_left_out=("/usr/lib/*/libLLVM*" "/usr/lib/postgresql/*/lib/llvmjit*" "/usr/lib/postgresql/*/lib/bitcode/*")

# python_base WAY: the name of the image that Dockerfiles get as BASE_IMAGE.
python_base() {
  if [ "$1" = registry ]; then echo "$PYTHON_IMAGE"; else
    echo "plimsoll/python:$SUITE-$(sha256sum <<<"$SUITE $python_packages_in_image" | cut -c1-12)"
  fi
}

python_image() {
  local image
  image=$(python_base "$1")
  if image_exists "$image"; then
    kept
  elif [ "$1" = registry ]; then
    docker pull "$image"
  else
    debian_root "$cache/roots/python.tar" minbase "$python_packages_in_image"
    import_root "$image" "$cache/roots/python.tar" 'ENV LANG=C.UTF-8' 'CMD ["python3"]'
    rm "$cache/roots/python.tar"
  fi
}

is_stand_in() { docker image inspect --format '{{json .Config.Labels}}' "$1" | grep --quiet plimsoll.dev/stand-in; }

# The stand-in carries the registry image's own name, so that the same manifests name both; a second tag says which it is.
postgres_image() {
  local stand_in
  if [ "$1" = registry ]; then
    if image_exists "$POSTGRES_IMAGE" && ! is_stand_in "$POSTGRES_IMAGE"; then kept; else docker pull "$POSTGRES_IMAGE"; fi
    return
  fi
  stand_in=plimsoll/postgres:$SUITE-$({
    echo "$SUITE $postgres_packages_in_image ${postgres_left_out[*]}"
    cat "$root"/hack/images/postgres/*
  } | sha256sum | cut -c1-12)
  if image_exists "$stand_in"; then
    kept
  else
    # shellcheck disable=SC2016  # $1 is the hook's: the root that is being made
    # The user gets the registry image's ids before Debian's package would choose its own, and no cluster is made.
    debian_root "$cache/roots/postgres.tar" minbase "$postgres_packages_in_image" \
      "${postgres_left_out[@]/#/--dpkgopt=path-exclude=}" \
      --essential-hook='echo postgres:x:999:999::/var/lib/postgresql:/bin/bash >>"$1/etc/passwd"' \
      --essential-hook='echo postgres:x:999: >>"$1/etc/group"' \
      --essential-hook='mkdir -p "$1/etc/postgresql-common"' \
      --essential-hook='echo create_main_cluster = false >"$1/etc/postgresql-common/createcluster.conf"'
    import_root plimsoll/postgres-root "$cache/roots/postgres.tar"
    rm "$cache/roots/postgres.tar"
    DOCKER_BUILDKIT=1 "$(builder)" build --tag "$stand_in" --label plimsoll.dev/stand-in=postgres \
      --build-arg POSTGRES_MAJOR="$POSTGRES" "$root/hack/images/postgres"
  fi
  docker tag "$stand_in" "$POSTGRES_IMAGE"
}
