#!/usr/bin/env bash
# Runs each fuzz target for a time, FUZZTIME, and prints how many inputs it tried.
# What a target finds stands in testdata/fuzz of its package afterwards, and is
# tried by every go test from then on.
set -euo pipefail
time=${1:-20s}
only=${2:-.}
out=$(mktemp)
trap 'rm -f "$out"' EXIT
failed=0
targets=$(grep -r --include='*_test.go' -o '^func Fuzz[A-Za-z0-9_]*' . | sed 's/^\(.*\):func \(.*\)$/\2 \1/' | grep -E "$only" | sort)
while read -r target file; do
	package=./$(dirname "${file#./}")
	# Shrinking what is merely new would take the time that is for trying.
	if go test -run '^$' -fuzz "^$target\$" -fuzztime "$time" -fuzzminimizetime 100x "$package" >"$out" 2>&1 </dev/null; then
		printf '%-18s %-22s %12s executions\n' "$target" "${package#./}" "$(sed -n 's/^fuzz: .*execs: \([0-9]*\).*/\1/p' "$out" | tail -1)"
	else
		failed=1
		printf '%s in %s failed:\n' "$target" "$package"
		cat "$out"
	fi
done <<<"$targets"
exit "$failed"
