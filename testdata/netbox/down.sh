#!/usr/bin/env bash
# Stops what up.sh started, and nothing else. The data stays for the next up.sh;
# --purge drops it too, but keeps the venv and the database dump. --kill stops everything
# by SIGKILL, in the middle of whatever it does, as when a machine loses its power.
set -euo pipefail
# shellcheck source=lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

purge=
kill=
case ${1-} in
  '') ;;
  --purge) purge=1 ;;
  --kill) kill=1 ;;
  *) die "usage: down.sh [--purge | --kill]" ;;
esac

if [ -d "$cache" ]; then lock; fi
if [ -n "$kill" ]; then
  kill_all
  say "killed"
  exit
fi
if gunicorn_pid >/dev/null || redis_pid >/dev/null || postgres_pid >/dev/null; then
  stop_all
  say "stopped"
fi
stop_strays
if [ -n "$purge" ]; then
  rm -rf "$runtime" "$pg_home"
fi
