# shellcheck shell=bash
# Where images come from: a container registry, or this machine's own build from the Go module proxy and Debian.
# Sourced by up.sh and test.sh. The choice of a run lies in .cache/way, so that the next one need not ask again.

# choose_way: PLIMSOLL_IMAGES says it, or the last run did, or a registry that answers.
choose_way() {
  local asked=${PLIMSOLL_IMAGES:-auto} way reason
  case $asked in
    registry | build) way=$asked reason="PLIMSOLL_IMAGES says so" ;;
    auto)
      if [ -s "$cache/way" ]; then
        way=$(<"$cache/way") reason="as in the last run; PLIMSOLL_IMAGES=registry or =build changes it"
      elif ! may_raise_limits; then
        way=build reason="without CAP_SYS_RESOURCE the registry's node image does not start"
      elif timeout 10 docker manifest inspect "$PYTHON_IMAGE" >/dev/null; then
        way=registry reason="a container registry answers"
      else
        way=build reason="no container registry answered within 10 s"
      fi
      ;;
    *) die "PLIMSOLL_IMAGES is \"$asked\": it must be auto, registry or build" ;;
  esac
  if [ "$way" = registry ] && ! may_raise_limits; then
    die "PLIMSOLL_IMAGES=registry cannot work here: the registry's node image needs CAP_SYS_RESOURCE and this machine" \
      "has not got it; run with PLIMSOLL_IMAGES=build"
  fi
  if [ "$way" = build ]; then
    missing=()
    need mmdebstrap mmdebstrap
    need jq jq
    install_packages
  fi
  echo "$way" >"$cache/way"
  kept "$way ($reason)"
}

chosen_way() { cat "$cache/way"; }
