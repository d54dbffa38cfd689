# shellcheck shell=bash
# The secret scan of `make check`: detect-secrets over what git tracks or would track, by patterns and by entropy.
# Sourced by venv.sh; needs `project_files`, and the venv that has detect-secrets. Nothing leaves the machine.

# Examples show where a password goes; these are the words that they may put there.
placeholders='^(password|quickstart.*|SecretUnreadable)$'

secret_scan() {
  local status=0
  project_files . | sed 's|^\./||' | grep --invert-match '^tests/' |
    no_secrets_in --exclude-secrets "$placeholders" || status=1
  # Passwords in tests are made up, as ruff's S105 is told too: there only keys and tokens of a known form count.
  project_files . | sed 's|^\./||' | grep '^tests/' |
    no_secrets_in --disable-plugin KeywordDetector --disable-plugin BasicAuthDetector \
      --disable-plugin HexHighEntropyString --disable-plugin Base64HighEntropyString || status=1
  return "$status"
}

# no_secrets_in OPTION…: the files named on stdin, one a line.
no_secrets_in() {
  (cd "$root" && xargs --no-run-if-empty --delimiter '\n' "$venv/bin/detect-secrets-hook" --no-verify --cores 2 "$@")
}
