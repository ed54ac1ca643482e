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

# What sops costs: the same program with the one package that imports it emptied.
secrets=$PWD/reconcile/secrets
cat >"$dir/stub.go" <<'GO'
package secrets

import (
	"context"
	"errors"

	"proxbox-sync/reconcile"
)

type (
	Options struct {
		Env                       func(string) string
		NoDecrypt, SealWithoutKey bool
		AllowedKeys               []string
	}
	Opener struct{}
	Info   struct{}
)

func New(Options) (*Opener, error) { return &Opener{}, nil }

func (*Opener) Open(context.Context, string, []byte) (map[string]reconcile.Secret, Info, error) {
	return nil, Info{}, errors.New("built without sops")
}
GO
{
  printf '{"Replace":{"%s/doc.go":"%s/stub.go"' "$secrets" "$dir"
  for file in "$secrets"/*.go; do
    case $file in */doc.go | *_test.go) ;; *) printf ',"%s":""' "$file" ;; esac
  done
  printf '}}'
} >"$dir/overlay.json"
if go build -overlay "$dir/overlay.json" -trimpath -tags "$tags" -ldflags '-s -w' -o "$dir/without" $main; then
  printf '  %-44s %s\n' 'without sops' "$(mb "$(size "$dir/without")")"
else
  echo '  without sops: not measured (see above; is the stand-in for reconcile/secrets in this script out of date?)'
fi
printf '  %-44s %s, without sops %s\n' 'packages' "$(go list -tags "$tags" -deps $main | wc -l)" \
  "$(go list -overlay "$dir/overlay.json" -tags "$tags" -deps $main | wc -l)"

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
