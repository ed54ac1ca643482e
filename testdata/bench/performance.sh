#!/usr/bin/env bash
# Measures the program and writes docs/performance.md. The parts against a NetBox need the one of
# make netbox-up; the rivals are installed into the cache (pynetbox, ansible-core). Arguments are the
# parts to run, all of them without; the others keep what they had. ROUNDS says how often.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cache=${PROXBOX_SYNC_CACHE:-$HOME/.cache/proxbox-sync}/bench
mkdir -p "$cache"
go build -trimpath -tags grpcnotrace,disable_grpc_modules -ldflags '-s -w' -o "$dir/proxbox-sync" ./cmd/proxbox-sync
go build -o "$dir/performance" ./testdata/bench/performance

NETBOX_URL='' NETBOX_TOKEN='' NETBOX_TOKEN_V1=''
env_file=$(testdata/netbox/up.sh --env-path)
if [ -r "$env_file" ]; then
  # shellcheck disable=SC1090 # written by up.sh
  . "$env_file"
fi
address=${NETBOX_URL#*://}
address=${address%%/*}
parts=$(IFS=,; echo "${*:-growth}")
if [ -z "$NETBOX_URL" ] || ! (exec 3<>"/dev/tcp/${address%:*}/${address##*:}") 2>/dev/null; then
  echo 'against a NetBox: left out, none is up (make netbox-up)'
elif [ $# -eq 0 ]; then
  parts=growth,limit1000,mixed,rivals,limit10000
fi
python=$cache/venv/bin/python
if [[ $parts == *rivals* && ! -x $cache/venv/bin/ansible-playbook ]]; then
  python3 -m venv "$cache/venv"
  "$cache/venv/bin/pip" install --quiet pynetbox ansible-core
fi
export NETBOX_URL NETBOX_TOKEN NETBOX_TOKEN_V1
"$dir/performance" -binary "$dir/proxbox-sync" -results "$cache/results.json" -python "$python" -parts "$parts" -rounds "${ROUNDS:-3}"
