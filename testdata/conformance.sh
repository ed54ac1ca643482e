#!/usr/bin/env bash
# Runs the conformance tests, and the client's own that want a real server, against a real
# NetBox: the one that testdata/netbox/up.sh started, or another one named by
#
#   PROXBOX_SYNC_TEST_NETBOX_URL        its URL; everything that the tests make there, they delete
#   PROXBOX_SYNC_TEST_NETBOX_TOKEN      a v2 token of a superuser
#   PROXBOX_SYNC_TEST_NETBOX_TOKEN_V1   a v1 token of one
#   PROXBOX_SYNC_TEST_NETBOX_EMPTY=1    nothing is on it: the examples may be applied to it as well
#
# The sandbox, which the same tests run against in make test, is left out.
# TESTFLAGS are further flags for go test.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

die() {
  printf 'test-netbox: %s\n' "$*" >&2
  exit 1
}

if [ -z "${PROXBOX_SYNC_TEST_NETBOX_URL-}" ]; then
  env_file=$(testdata/netbox/up.sh --env-path)
  [ -r "$env_file" ] || die "no NetBox here: run make netbox-up first"
  NETBOX_URL='' NETBOX_TOKEN='' NETBOX_TOKEN_V1=''
  set -a
  # shellcheck disable=SC1090 # written by up.sh
  . "$env_file"
  set +a
  export PROXBOX_SYNC_TEST_NETBOX_URL=$NETBOX_URL
  export PROXBOX_SYNC_TEST_NETBOX_TOKEN=$NETBOX_TOKEN
  export PROXBOX_SYNC_TEST_NETBOX_TOKEN_V1=$NETBOX_TOKEN_V1
fi
export PROXBOX_SYNC_TEST_NETBOX_ONLY=1
# Those tests choose server and token themselves.
unset NETBOX_URL NETBOX_TOKEN NETBOX_TOKEN_V1
for name in TOKEN TOKEN_V1; do
  variable=PROXBOX_SYNC_TEST_NETBOX_$name
  [ -n "${!variable-}" ] || die "$variable is not set"
done

# Without a server every test would fail with the same words.
address=${PROXBOX_SYNC_TEST_NETBOX_URL#*://}
address=${address%%/*}
port=${address##*:}
if [ "$port" = "$address" ]; then
  case $PROXBOX_SYNC_TEST_NETBOX_URL in https:*) port=443 ;; *) port=80 ;; esac
fi
host=${address%:*}
host=${host#[}
(exec 3<>"/dev/tcp/${host%]}/$port") 2>/dev/null ||
  die "nothing answers at $PROXBOX_SYNC_TEST_NETBOX_URL: run make netbox-up first"

# having NAME: the packages that have tests whose names begin so. A name that matches nothing
# passes in go test: that would be no conformance at all.
having() {
  { grep -rl --include='*_test.go' "^func $1" . || true; } | xargs -r -n 1 dirname | sort -u
}
rc=0
packages=$(having TestConformance)
[ -n "$packages" ] || die "there are no conformance tests"
# shellcheck disable=SC2086 # several flags and packages
go test -count=1 -timeout 60m -run '^TestConformance' ${TESTFLAGS-} $packages || rc=1
packages=$(having TestRealNetBox)
if [ -n "$packages" ]; then
  # shellcheck disable=SC2086
  NETBOX_URL=$PROXBOX_SYNC_TEST_NETBOX_URL NETBOX_TOKEN=$PROXBOX_SYNC_TEST_NETBOX_TOKEN \
    NETBOX_TOKEN_V1=$PROXBOX_SYNC_TEST_NETBOX_TOKEN_V1 \
    go test -count=1 -timeout 60m -run '^TestRealNetBox' ${TESTFLAGS-} $packages || rc=1
fi
exit "$rc"
