#!/usr/bin/env bash
# Measures what a marker adds to a bulk write of the NetBox of make netbox-up. Arguments are those
# of the program: -rows N -rounds N.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
env_file=$(testdata/netbox/up.sh --env-path)
NETBOX_URL='' NETBOX_TOKEN=''
if [ -r "$env_file" ]; then
  # shellcheck disable=SC1090 # written by up.sh
  . "$env_file"
fi
address=${NETBOX_URL#*://}
address=${address%%/*}
if [ -z "$NETBOX_URL" ] || ! (exec 3<>"/dev/tcp/${address%:*}/${address##*:}") 2>/dev/null; then
  echo 'the marker in a bulk write: left out, no NetBox is up (make netbox-up)'
  exit 0
fi
export NETBOX_URL NETBOX_TOKEN
go run ./testdata/bench/marker "$@"
