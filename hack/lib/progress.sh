# shellcheck shell=bash
# Progress: numbered steps, what is running now, how long it takes, how many remain; and one sentence when a step breaks.
#
#   progress_start TOTAL        once per run; opens the run folder, starts the ticker, sets the exit trap
#   step "title" FUNCTION …     runs FUNCTION with its output in a log; numbers, times and reports it
#   lane FUNCTION …             runs a function that calls `step` in the background, beside the others; `join_lanes` waits
#   detail "text"               inside a step: what it is doing now
#   kept ["why"]                inside a step: there was nothing to do
#   say "text"                  a line for the reader, also from inside a step
#   die "sentence"              ends the step and the run; the sentence says what is wrong, the fact and the fix
#
# The state of a run lies in files (.cache/run/PID), because steps are subshells and lanes are processes of their own.

exec 3>&1
is_terminal=false
if [ -t 3 ] && [ "${TERM:-dumb}" != dumb ]; then is_terminal=true; fi

say() {
  if $is_terminal; then printf '\r\033[K%s\n' "$*" >&3; else printf '%s\n' "$*" >&3; fi
}

# Inside a step the sentence is left for `step` to print, after the step's number; elsewhere it is printed at once.
die() {
  if [ -n "${step_number:-}" ]; then printf '%s\n' "$*" >"$run/died.$step_number"; else say "error: $*"; fi
  exit 1
}

detail() { printf '%s' "$*" >"$run/detail.$step_number"; }
kept() { printf '%s' "${1:-nothing to do}" >"$run/kept.$step_number"; }

progress_start() {
  local other
  total=$1 run=$cache/run/$$ logs=$cache/log
  for other in "$cache"/run/[0-9]*; do  # what killed runs left behind
    if ! kill -0 "${other##*/}" 2>/dev/null; then rm -rf "$other"; fi
  done
  rm -rf "$run" && mkdir -p "$run" "$logs"
  echo 0 >"$run/count"
  set -m                                # every background job gets a process group, so that it can be ended as a whole
  trap progress_end EXIT
  trap 'say "interrupted: run the same command again, it goes on from here"; exit 130' INT TERM
  ticker 3>&3 </dev/null &
  ticker_pid=$!
}

progress_end() {
  local status=$? job
  trap - EXIT INT TERM
  exec 2>/dev/null                      # the shell's own notes about the jobs that are ended here
  for job in $(jobs -p); do kill -- "-$job" || true; done
  wait || true
  if $is_terminal; then printf '\r\033[K' >&3; fi
  write_timings
  rm -rf "$run"
  exit "$status"
}

# progress_pause: no status line from here on; the screen belongs to another program's output.
progress_pause() {
  kill -- "-$ticker_pid"
  { wait "$ticker_pid" || true; } 2>/dev/null
  if $is_terminal; then printf '\r\033[K' >&3; fi
}

# One status line on a terminal, redrawn every second; elsewhere a line per running step every 20 seconds.
ticker() {
  local running number title started now line text
  local -A shown                        # how often a step has been shown; a busy machine may miss the exact second
  while sleep 1; do
    line='' now=$EPOCHSECONDS
    for running in "$run"/running.*; do
      [ -e "$running" ] || continue
      number=${running##*.}
      IFS=$'\t' read -r started title <"$running" || continue
      text="[$(label "$number")] $title"
      if [ -s "$run/detail.$number" ]; then text+=": $(<"$run/detail.$number")"; fi
      text+=" … $((now - started)) s"
      if $is_terminal; then line+="${line:+   }$text"
      elif [ $(((now - started) / 20)) -gt "${shown[$number]:-0}" ]; then
        shown[$number]=$(((now - started) / 20))
        say "$text"
      fi
    done
    if $is_terminal && [ -n "$line" ]; then
      printf '\r\033[K%s' "${line:0:$(($(tput cols 2>/dev/null || echo 100) - 1))}" >&3
    fi
  done
}

label() { printf '%*d/%d' "${#total}" "$1" "$total"; }

next_number() (
  flock 8
  number=$(($(<"$run/count") + 1))
  echo "$number" >"$run/count"
  echo "$number"
) 8>>"$run/count.lock"

step() {
  local title=$1 number started status=0 seconds log
  shift
  number=$(next_number)
  log=$logs/$(slug "$title").log
  started=$EPOCHSECONDS
  printf '%s\t%s\n' "$started" "$title" >"$run/running.$number"
  if ! $is_terminal; then say "[$(label "$number")] $title …"; fi
  # In the background and waited for: a function called in a condition would lose its `set -e`.
  (
    step_number=$number
    set -euo pipefail
    trap - EXIT INT TERM
    "$@"
  ) >"$log" 2>&1 </dev/null &
  wait $! || status=$?
  seconds=$((EPOCHSECONDS - started))
  rm -f "$run/running.$number"
  if [ "$status" -ne 0 ]; then
    explain_failure "$title" "$number" "$status" "$seconds" "$log"
    exit 1
  elif [ -e "$run/kept.$number" ]; then
    say "[$(label "$number")] $title: $(<"$run/kept.$number") ($seconds s)"
  else
    printf '%s\t%s\n' "$title" "$seconds" >>"$run/timings"
    say "[$(label "$number")] $title: done in $seconds s"
  fi
}

explain_failure() {
  local title=$1 number=$2 status=$3 seconds=$4 log=$5
  if [ -s "$run/died.$number" ]; then
    say "error: $(<"$run/died.$number")"
  else
    say "error: step \"$title\" failed after $seconds s with exit status $status. The last lines of its log ($log):"
    say "$(tail -n 15 "$log" | sed 's/^/    /')"
  fi
}

lane() {
  # The status goes into a file: `wait -n` forgets a job that has ended before it is called.
  (
    trap 'echo $? >"$run/lane.$BASHPID"' EXIT
    "$@"
  ) </dev/null &
  lanes+=("$!")
}

# Waits for every lane. The first that fails has said why; the others are ended by the exit trap.
join_lanes() {
  local pid
  for pid in "${lanes[@]}"; do
    while kill -0 "$pid" 2>/dev/null; do
      if grep --quiet --no-messages --invert-match '^0$' "$run"/lane.*; then exit 1; fi
      sleep 0.2
    done
    if [ ! -s "$run/lane.$pid" ]; then
      die "a part of this run was killed from outside, perhaps for want of memory; its logs are in $logs"
    elif [ "$(<"$run/lane.$pid")" != 0 ]; then
      exit 1
    fi
  done
  lanes=()
}
lanes=()

slug() { tr -cs 'a-zA-Z0-9\n' - <<<"$1" | sed 's/^-//; s/-$//'; }

# .cache/timings.json: for each step the seconds it took when it last had something to do, and the last run's total.
write_timings() {
  [ -d "$run" ] || return 0
  printf '%s\t%s\n' "${run_name:-run}" "$SECONDS" >>"$run/timings"
  touch "$cache/timings.tsv"
  awk -F'\t' '!($1 in seen) { order[++n] = $1 } { seen[$1] = $2 } END { for (i = 1; i <= n; i++) print order[i] "\t" seen[order[i]] }' \
    "$cache/timings.tsv" "$run/timings" >"$cache/timings.tsv.new"
  awk -F'\t' 'BEGIN { print "{" } { printf "%s  \"%s\": %s", (NR > 1 ? ",\n" : ""), $1, $2 } END { print "\n}" }' \
    "$cache/timings.tsv.new" >"$cache/timings.json.new"
  mv "$cache/timings.tsv.new" "$cache/timings.tsv"
  mv "$cache/timings.json.new" "$cache/timings.json"
}
