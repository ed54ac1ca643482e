#!/usr/bin/env bash
# Looks for known vulnerabilities in code that the program reaches.
#
# The list of them is fetched from the Go project's server. Where that can't be, nothing was
# checked: it says so, and fails with VULNCHECK=required, which the release workflow sets.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
tool=(govulncheck)
if ! command -v govulncheck >/dev/null; then
  tool=(go run golang.org/x/vuln/cmd/govulncheck@v1.9.0)
fi
log=$(mktemp)
trap 'rm -f "$log"' EXIT
rc=0
"${tool[@]}" -tags grpcnotrace,disable_grpc_modules ./cmd/proxbox-sync >"$log" 2>&1 || rc=$?
cat "$log"
# go run says 1 for every code of the program: the text tells what was found from what went wrong.
if [ "$rc" -eq 0 ] || grep -q '^Your code is affected by' "$log"; then
  exit "$rc"
fi
printf '\n*** NOT CHECKED for known vulnerabilities: govulncheck could not run (see above) ***\n' >&2
if [ "${VULNCHECK-}" = required ]; then exit 1; fi
