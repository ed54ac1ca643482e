# shellcheck shell=bash disable=SC2034 # the variables are for the others
# What up.sh and down.sh share: where things lie, and how a process is known to be ours.

NETBOX_VERSION=${NETBOX_VERSION:-4.7.3}
NETBOX_PROXBOX_VERSION=${NETBOX_PROXBOX_VERSION:-0.0.29.post6}

key=netbox-$NETBOX_VERSION-proxbox-$NETBOX_PROXBOX_VERSION
cache=${PROXBOX_SYNC_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/proxbox-sync}/$key
case $cache in /*) ;; *) cache=$PWD/$cache ;; esac
venv=$cache/venv
runtime=$cache/runtime
run=$runtime/run
logs=$runtime/log

# PostgreSQL refuses to run as root, and the unprivileged user that it then runs as may not
# reach a cache below /root: so for root the cluster lies in /var/tmp, named by the cache folder.
if [ "$(id -u)" -eq 0 ]; then
  pg_user=nobody
  if id postgres >/dev/null 2>&1; then pg_user=postgres; fi
  pg_home=/var/tmp/proxbox-sync-pg-$(printf %s "$cache" | cksum | tr ' ' -)
else
  pg_user=$(id -un)
  pg_home=$runtime/pg
fi
pg_data=$pg_home/data

say() { printf 'netbox: %s\n' "$*"; }
warn() { printf 'netbox: %s\n' "$*" >&2; }
die() {
  warn "$*"
  exit 1
}

as_pg() {
  if [ "$(id -u)" -eq 0 ]; then
    # From /, since the unprivileged user may not enter the folder that we are in.
    (cd / && exec setpriv --reuid="$pg_user" --regid="$(id -g "$pg_user")" --clear-groups \
      env HOME="$pg_home" "$@")
  else
    "$@"
  fi
}

# One up.sh or down.sh at a time. What they leave running must not inherit the lock (9>&-);
# what they wait for does, so that a build whose up.sh was killed does not meddle with the
# next one: that one ends it first.
lock() {
  command -v flock >/dev/null 2>&1 || return 0
  exec 9>"$cache/lock"
  flock -n 9 && return 0
  local up='' build=''
  if [ -r "$cache/building" ] && read -r up build <"$cache/building"; then
    case $(cmdline "$up") in
      *up.sh*) ;;
      *) case $(cmdline "$build") in *"$cache/"*) kill "$build" 2>/dev/null || true ;; esac ;;
    esac
  fi
  flock -w 5 9 && return 0
  warn "waiting for another up.sh or down.sh"
  flock 9
}

cmdline() {
  if [ -r "/proc/$1/cmdline" ]; then
    { tr '\0' ' ' <"/proc/$1/cmdline"; } 2>/dev/null || true
  else
    ps -p "$1" -o args= 2>/dev/null || true
  fi
}

# ours PIDFILE WORD...: prints the pid when that process runs and its command has every word.
ours() {
  local file=$1 pid='' args word
  shift
  [ -r "$file" ] || return 1
  read -r pid <"$file" || [ -n "$pid" ] || return 1
  case $pid in '' | *[!0-9]*) return 1 ;; esac
  args=$(cmdline "$pid")
  for word in "$@"; do
    case $args in *"$word"*) ;; *) return 1 ;; esac
  done
  printf '%s\n' "$pid"
}

gunicorn_pid() { ours "$run/gunicorn.pid" gunicorn "$runtime/gunicorn.conf.py"; }
redis_pid() { ours "$run/redis.pid" redis-server "127.0.0.1:$(cat "$run/redis.port" 2>/dev/null || echo none)"; }
postgres_pid() { ours "$pg_data/postmaster.pid" postgres "$pg_data"; }

# stop_pid PID SIGNAL: ask, wait up to 20 s, then insist. One that has ended and only waits
# to be collected by its parent (its command line is empty) has ended.
stop_pid() {
  local i
  kill -s "$2" "$1" 2>/dev/null || return 0
  for ((i = 0; i < 200; i++)); do
    [ -n "$(cmdline "$1")" ] || return 0
    sleep 0.1
  done
  kill -s KILL "$1" 2>/dev/null || true
}

# strays: pids of servers whose folder was deleted under them, pid files and all. Each of
# ours works in its own folder; Linux only, elsewhere there is nothing to see.
strays() {
  local proc dir
  for proc in /proc/[0-9]*; do
    dir=$(readlink "$proc/cwd" 2>/dev/null) || continue
    case $dir in
      "$runtime (deleted)" | "$pg_data (deleted)") ;;
      *) continue ;;
    esac
    case $(cmdline "${proc#/proc/}") in
      *"gunicorn --config $runtime/gunicorn.conf.py"* | *"redis-server 127.0.0.1:"* | *"postgres -D $pg_data"*)
        printf '%s\n' "${proc#/proc/}"
        ;;
    esac
  done
}

stop_strays() {
  local pid
  for pid in $(strays); do stop_pid "$pid" INT; done
}

# INT is PostgreSQL's fast shutdown: TERM would wait for clients to leave.
stop_all() {
  local pid
  if pid=$(gunicorn_pid); then stop_pid "$pid" TERM; fi
  if pid=$(postgres_pid); then stop_pid "$pid" INT; fi
  if pid=$(redis_pid); then stop_pid "$pid" TERM; fi
  rm -f "$run/gunicorn.pid" "$run/redis.pid"
}

# kill_all: no process of ours gets to finish anything, workers and backends included. The
# parents go first, so that they start no others.
kill_all() {
  local pid pids=''
  for pid in $(gunicorn_pid || true) $(postgres_pid || true) $(redis_pid || true); do
    pids="$pids $pid $(ps -A -o pid=,ppid= | awk -v parent="$pid" '$2 == parent { print $1 }' | tr '\n' ' ')"
  done
  # shellcheck disable=SC2086 # several words
  if [ -n "$pids" ]; then kill -s KILL $pids 2>/dev/null || true; fi
  rm -f "$run/gunicorn.pid" "$run/redis.pid"
}
