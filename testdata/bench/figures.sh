#!/usr/bin/env bash
# Measures what a user feels before anything is done: how large the binary is, what sops costs in
# it, how long it takes to start. Times are of this machine at this moment: compare, don't quote.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
tags=grpcnotrace,disable_grpc_modules
main=./cmd/proxbox-sync

mb() { awk -v n="$1" 'BEGIN { printf "%.1f MB", n / 1e6 }'; }
size() { wc -c <"$1" | tr -d ' '; }

echo "binary, $(go env GOOS)/$(go env GOARCH), $(go version | cut -d' ' -f3):"
go build -trimpath -tags "$tags" -ldflags '-s -w' -o "$dir/release" $main
printf '  %-44s %s\n' 'release (make build)' "$(mb "$(size "$dir/release")")"
go build -trimpath -ldflags '-s -w' -o "$dir/untagged" $main
printf '  %-44s %s\n' 'without the build tags' "$(mb "$(size "$dir/untagged")")"

# Everything that the program needs apart from sops; the rest is there for sops alone.
others=$(go list -tags "$tags" -f '{{join .Imports "\n"}}' $main | grep -v '/reconcile/secrets$')
# shellcheck disable=SC2086 # many packages
go list -tags "$tags" -deps $others | sort -u >"$dir/without"
go list -tags "$tags" -deps $main | sort -u >"$dir/with"
comm -13 "$dir/without" "$dir/with" >"$dir/sops"
go build -trimpath -tags "$tags" -o "$dir/symbols" $main
go tool nm -size "$dir/symbols" | awk -v list="$dir/sops" '
  BEGIN { while ((getline p < list) > 0) only[p] = 1 }
  NF >= 4 && $3 != "B" && $3 != "b" {
    total += $2
    name = $4
    sub(/^type:[.]*(eq[.]|hash[.])?[*]*/, "", name)
    gsub(/%2e/, ".", name)
    slash = match(name, /\/[^\/]*$/) ? RSTART : 0
    tail = substr(name, slash + 1)
    dot = index(tail, ".")
    if (dot && (substr(name, 1, slash) substr(tail, 1, dot - 1)) in only) sops += $2
  }
  END { printf "  %-44s %d of %d %%\n", "code and data that only sops needs", sops * 100 / total + 0.5, 100 }'
printf '  %-44s %d of %d\n' 'packages that only sops needs' "$(wc -l <"$dir/sops")" "$(wc -l <"$dir/with")"

# start ARGUMENT: least and median of 21 runs, in milliseconds.
start() {
  local i from to
  for ((i = 0; i < 21; i++)); do
    from=${EPOCHREALTIME//[.,]/}
    "$dir/release" "$1" >/dev/null
    to=${EPOCHREALTIME//[.,]/}
    echo $((to - from))
  done | sort -n | awk -v what="$1" '{ t[NR] = $1 } END { printf "  %-44s %.1f / %.1f ms\n", what, t[1] / 1000, t[11] / 1000 }'
}
echo 'start, least / median of 21 runs:'
start version
start --help
