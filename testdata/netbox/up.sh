#!/usr/bin/env bash
# Stands up a real NetBox with the real netbox-proxbox plugin on loopback, from package
# registries, with a PostgreSQL and a Redis of its own. down.sh stops it again.
#
#   up.sh              start it (or say that it runs), and print where its settings lie
#   up.sh --env-path   print only the path of the file with URL and tokens
#
#   NETBOX_VERSION, NETBOX_PROXBOX_VERSION   other versions than lib.sh names (4.7 or newer:
#                      older NetBox is not published as an installable package)
#   NETBOX_PORT        NetBox's port; otherwise a free one, kept from then on
#   NETBOX_DUMP_SEED   a dump of a freshly migrated database of the same versions, for example
#                      netbox-4.7.3-proxbox-0.0.29.post6.pg15.dump: spares the migration, which
#                      takes some eleven minutes. Ignored where it does not fit.
#   PROXBOX_SYNC_CACHE where everything lies: default ~/.cache/proxbox-sync
#
# In the cache, below netbox-VERSION-proxbox-VERSION/, and all of it built again when deleted:
#   venv/                                         NetBox and the plugin
#   netbox-VERSION-proxbox-VERSION.pgMAJOR.dump   the migrated, empty database; a dump put
#                                                 there by hand serves as a seed as well
#   runtime/                                      data, logs, ports, secrets, env
# Started by root, PostgreSQL's own files lie in /var/tmp instead: see lib.sh.
set -euo pipefail
umask 077
# shellcheck source=lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

env_file=$runtime/env
case ${1-} in
  '') ;;
  --env-path)
    printf '%s\n' "$env_file"
    exit 0
    ;;
  *) die "usage: up.sh [--env-path]" ;;
esac

# --- what has to be there -----------------------------------------------------------------

missing=()

# A version manager's shim may be there and yet refuse to run: only running it tells.
python_fits() {
  "$1" -c 'import sys, ensurepip, ssl, venv; sys.exit(sys.version_info < (3, 12))' >/dev/null 2>&1
}

find_python() {
  local p
  for p in python3.13 python3.12 python3.14 python3 python \
    /usr/local/bin/python3 /opt/python*/bin/python3 "$HOME"/.pyenv/versions/3.*/bin/python3 \
    "$HOME"/.local/share/uv/python/*/bin/python3; do
    case $p in
      /*) [ -x "$p" ] || continue ;;
      *) p=$(command -v "$p") || continue ;;
    esac
    if python_fits "$p"; then
      printf '%s\n' "$p"
      return 0
    fi
  done
  return 1
}

# The server's programs, newest first, unless a cluster is there already: that one decides.
find_postgres() {
  local dir found='' major='' have=0 v
  if [ -r "$pg_data/PG_VERSION" ]; then major=$(cat "$pg_data/PG_VERSION"); fi
  for dir in /usr/lib/postgresql/*/bin /usr/pgsql-*/bin /usr/local/pgsql/bin \
    /opt/homebrew/opt/postgresql@*/bin "$(dirname "$(command -v initdb || echo /nowhere/initdb)")"; do
    if ! { [ -x "$dir/initdb" ] && [ -x "$dir/postgres" ] && [ -x "$dir/pg_restore" ]; }; then continue; fi
    v=$("$dir/postgres" --version | sed 's/^[^0-9]*\([0-9]*\).*/\1/')
    [ "$v" -ge 14 ] || continue # NetBox's own lower bound
    if [ -n "$major" ]; then
      [ "$v" = "$major" ] && found=$dir
    elif [ "$v" -gt "$have" ]; then
      found=$dir have=$v
    fi
  done
  [ -n "$found" ] && printf '%s\n' "$found"
}

venv_stamp="netbox==$NETBOX_VERSION netbox-proxbox==$NETBOX_PROXBOX_VERSION"
venv_ready() {
  [ "$(cat "$venv/complete" 2>/dev/null)" = "$venv_stamp" ] && python_fits "$venv/bin/python"
}

python=
if ! venv_ready; then
  python=$(find_python) ||
    missing+=("Python 3.12 or newer with venv (Debian: python3 and python3-venv, from Debian 13 on; before that pyenv or uv)")
  # psycopg is compiled on installing.
  command -v cc >/dev/null 2>&1 || command -v gcc >/dev/null 2>&1 || missing+=("a C compiler (Debian: gcc, libc6-dev)")
  { pg_config --includedir >/dev/null 2>&1 && [ -e "$(pg_config --includedir)/libpq-fe.h" ]; } ||
    missing+=("libpq's headers (Debian: libpq-dev)")
  if [ -n "$python" ]; then
    [ -e "$("$python" -c 'import sysconfig; print(sysconfig.get_path("include"))')/Python.h" ] ||
      missing+=("the headers of $python (Debian: python3-dev)")
  fi
fi
pg_bin=$(find_postgres) || missing+=("a PostgreSQL server, 14 or newer$([ -r "$pg_data/PG_VERSION" ] && echo ", of the major version $(cat "$pg_data/PG_VERSION") that the existing data have (or down.sh --purge)") (Debian: postgresql)")
redis_server=$(command -v redis-server) || missing+=("redis-server (Debian: redis-server)")
if [ "$(id -u)" -eq 0 ]; then
  command -v setpriv >/dev/null 2>&1 || missing+=("setpriv (Debian: util-linux)")
fi
if [ ${#missing[@]} -gt 0 ]; then
  warn "missing on this machine:"
  printf '  %s\n' "${missing[@]}" >&2
  exit 1
fi
pg_major=$("$pg_bin/postgres" --version | sed 's/^[^0-9]*\([0-9]*\).*/\1/')
dump=$cache/$key.pg$pg_major.dump

# --- housekeeping -------------------------------------------------------------------------

mkdir -p "$cache"
lock
# A new folder, and yet servers of the one before it: they would never be found again.
if [ ! -d "$run" ]; then stop_strays; fi
mkdir -p "$run" "$logs"

# Whatever ends us early takes along what we started; a server found running stays.
done=
child=
was_running=
if gunicorn_pid >/dev/null; then was_running=1; fi
finish() {
  local rc=$?
  trap - EXIT
  if [ -n "$child" ]; then kill "$child" 2>/dev/null || true; fi
  if [ -z "$done" ] && [ -z "$was_running" ]; then stop_all; fi
  exit "$rc"
}
trap finish EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP

# long LOGNAME COMMAND...: in the background and waited for, since bash runs a trap only
# once its foreground child has ended.
long() {
  local log=$logs/$1.log rc=0
  shift
  "$@" >"$log" 2>&1 </dev/null &
  child=$!
  printf '%s %s\n' "$$" "$child" >"$cache/building"
  wait "$child" || rc=$?
  child=
  rm -f "$cache/building"
  if [ "$rc" -ne 0 ]; then
    tail -n 20 "$log" >&2
    warn "failed: $1 … (whole log: $log)"
  fi
  return "$rc"
}

# --- NetBox's programs --------------------------------------------------------------------

if ! venv_ready; then
  say "installing $venv_stamp (one to two minutes)"
  started=$SECONDS
  # A venv can't be renamed (its scripts hold its path), so a stamp says that it is whole.
  rm -rf "$venv"
  "$python" -m venv "$venv"
  # shellcheck disable=SC2086 # two words
  long pip "$venv/bin/python" -m pip --disable-pip-version-check --no-input install $venv_stamp ||
    die "could not install $venv_stamp"
  [ -x "$venv/bin/netbox" ] || die "netbox $NETBOX_VERSION brings no netbox command: too old to be installed this way"
  printf '%s\n' "$venv_stamp" >"$venv/complete"
  say "installed in $((SECONDS - started)) s"
fi
py=$venv/bin/python

# --- ports and secrets --------------------------------------------------------------------

# port NAME [WANTED]: the port remembered for NAME while nobody else took it, or a free one.
port() {
  "$py" - "$run/$1.port" "${2-}" <<'PY'
import pathlib, socket, sys
file, wanted = pathlib.Path(sys.argv[1]), sys.argv[2]
def free(port):
    with socket.socket() as s:
        s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            s.bind(("127.0.0.1", port))
        except (OSError, OverflowError):
            return 0
        return s.getsockname()[1]
try:
    kept = int(file.read_text())
except (OSError, ValueError):
    kept = 0
if wanted:
    port = free(int(wanted))
    if not port:
        sys.exit(f"netbox: port {wanted} is taken")
else:
    port = (kept and free(kept)) or free(0)
file.write_text(f"{port}\n")
PY
}

if [ ! -s "$runtime/secrets" ]; then
  "$py" >"$runtime/secrets.new" <<'PY'
import secrets
for name in ("PG_PASSWORD", "REDIS_PASSWORD", "SECRET_KEY", "PEPPER", "ADMIN_PASSWORD"):
    print(f"{name}={secrets.token_hex(32)}")
PY
  mv "$runtime/secrets.new" "$runtime/secrets"
fi
PG_PASSWORD='' REDIS_PASSWORD='' SECRET_KEY='' PEPPER='' ADMIN_PASSWORD=''
# shellcheck disable=SC1091
. "$runtime/secrets"

# --- PostgreSQL ---------------------------------------------------------------------------

if [ "$(id -u)" -eq 0 ]; then
  # /var/tmp is everybody's: a folder of that name which somebody else made is not to be trusted.
  if [ -L "$pg_home" ] || { [ -e "$pg_home" ] && [ "$(stat -c %U "$pg_home")" != "$pg_user" ]; }; then
    die "$pg_home is there and does not belong to $pg_user: remove it"
  fi
  # Left over from a cache folder that was deleted: its password is gone.
  if [ -e "$pg_data" ] && [ ! -e "$runtime/cluster" ]; then
    if pid=$(postgres_pid); then stop_pid "$pid" INT; fi
    rm -rf "$pg_home"
  fi
  if [ ! -d "$pg_home" ]; then
    mkdir "$pg_home"
    chown "$pg_user:" "$pg_home"
  fi
else
  mkdir -p "$pg_home"
fi

# Gone data with a stamp, or data of a cluster that was never finished: begin anew.
if [ ! -e "$runtime/cluster" ] || [ ! -e "$pg_data/PG_VERSION" ]; then
  rm -rf "$pg_data" "$pg_data.new" "$runtime/cluster"
  # The locale matters to comparisons of names beyond ASCII, where the machine has it.
  locale=C
  case $'\n'$(locale -a 2>/dev/null)$'\n' in
    *$'\nC.UTF-8\n'* | *$'\nC.utf8\n'*) locale=C.UTF-8 ;;
  esac
  printf '%s\n' "$PG_PASSWORD" | as_pg tee "$pg_home/password" >/dev/null
  long initdb as_pg "$pg_bin/initdb" -D "$pg_data.new" -U netbox --pwfile="$pg_home/password" \
    --auth=scram-sha-256 --encoding=UTF8 --locale="$locale" --no-sync || die "initdb failed"
  rm -f "$pg_home/password"
  # Nothing here is worth waiting for the disk.
  cat >>"$pg_data.new/postgresql.conf" <<'CONF'
listen_addresses = '127.0.0.1'
unix_socket_directories = ''
fsync = off
full_page_writes = off
synchronous_commit = off
max_connections = 60
jit = off
CONF
  mv "$pg_data.new" "$pg_data"
  touch "$runtime/cluster"
fi

if ! postgres_pid >/dev/null; then
  port pg
  # Left by a killed server; its number may be another process's by now.
  rm -f "$pg_data/postmaster.pid"
  as_pg "$pg_bin/pg_ctl" start -w -t 60 -s -D "$pg_data" -l "$pg_home/log" \
    -o "-p $(cat "$run/pg.port")" </dev/null >/dev/null 2>&1 9>&- || {
    tail -n 20 "$pg_home/log" >&2 || true
    die "PostgreSQL did not start (if its data are broken: down.sh --purge)"
  }
fi
pg_port=$(cat "$run/pg.port")
export PGHOST=127.0.0.1 PGPORT=$pg_port PGUSER=netbox PGPASSWORD=$PG_PASSWORD
# From stdin, since several statements in one -c are one transaction, which CREATE DATABASE refuses.
sql() { "$pg_bin/psql" -X -q -v ON_ERROR_STOP=1 -d postgres -At <<<"$1"; }

# --- Redis --------------------------------------------------------------------------------

if ! redis_pid >/dev/null; then
  port redis
  cat >"$runtime/redis.conf" <<CONF
bind 127.0.0.1
port $(cat "$run/redis.port")
requirepass $REDIS_PASSWORD
save ""
appendonly no
daemonize yes
dir "$runtime"
pidfile "$run/redis.pid"
logfile "$logs/redis.log"
CONF
  "$redis_server" "$runtime/redis.conf" </dev/null >/dev/null 9>&-
  for ((i = 0; i < 100; i++)); do
    if redis_pid >/dev/null; then break; fi
    sleep 0.1
  done
  redis_pid >/dev/null || { tail -n 5 "$logs/redis.log" >&2; die "Redis did not start"; }
fi

# --- NetBox's settings --------------------------------------------------------------------

# Here too the file is whole or not there; the database's name is a variable, since a new
# database gets its proper name only once it is complete.
mkdir -p "$runtime/root/conf"
cat >"$runtime/root/conf/configuration.py.new" <<CONF
import os
ALLOWED_HOSTS = ['*']
DATABASES = {'default': {
    'ENGINE': 'django.db.backends.postgresql', 'HOST': '127.0.0.1', 'PORT': '$pg_port',
    'NAME': os.environ.get('PROXBOX_SYNC_NETBOX_DB', 'netbox'),
    'USER': 'netbox', 'PASSWORD': '$PG_PASSWORD', 'CONN_MAX_AGE': 300,
}}
_redis = {'HOST': '127.0.0.1', 'PORT': $(cat "$run/redis.port"), 'PASSWORD': '$REDIS_PASSWORD'}
REDIS = {'tasks': {**_redis, 'DATABASE': 0}, 'caching': {**_redis, 'DATABASE': 1}}
SECRET_KEY = '$SECRET_KEY'
API_TOKEN_PEPPERS = {1: '$PEPPER'}
PLUGINS = ['netbox_proxbox']
PLUGINS_CONFIG = {'netbox_proxbox': {'automatic_background_tasks': False}}
# Nothing leaves this machine.
RELEASE_CHECK_URL = None
CENSUS_REPORTING_ENABLED = False
CONF
mv "$runtime/root/conf/configuration.py.new" "$runtime/root/conf/configuration.py"
export NETBOX_ROOT=$runtime/root DJANGO_SETTINGS_MODULE=netbox.settings
unset NETBOX_CONFIGURATION

# --- the database -------------------------------------------------------------------------

# restore FILE: a whole database out of a dump, or a reason why not.
restore() {
  local err=$logs/restore.log major
  : >"$err"
  major=$("$pg_bin/pg_restore" -l "$1" 2>>"$err" | sed -n 's/.*Dumped from database version: \([0-9]*\).*/\1/p')
  [ -n "$major" ] || return 1
  if [ "$major" != "$pg_major" ]; then
    echo "made by PostgreSQL $major, and here is $pg_major" >>"$err"
    return 1
  fi
  new_database
  "$pg_bin/pg_restore" --exit-on-error --no-owner -d netbox_new "$1" 2>>"$err" || return 1
  # A dump of other versions would restore as well, and fail later in strange ways.
  if ! PROXBOX_SYNC_NETBOX_DB=netbox_new "$venv/bin/netbox" migrate --check >>"$err" 2>&1; then
    echo "not the migrations of these versions" >>"$err"
    return 1
  fi
}

new_database() {
  sql 'SET client_min_messages = error; DROP DATABASE IF EXISTS netbox_new WITH (FORCE)'
  sql 'CREATE DATABASE netbox_new'
}

if [ "$(sql "SELECT 1 FROM pg_database WHERE datname = 'netbox'")" != 1 ]; then
  # Tokens of a database that is no more.
  rm -f "$runtime/tokens"
  from=
  if [ -e "$dump" ]; then
    if restore "$dump"; then
      from=dump
    else
      warn "ignoring $dump: $(tail -n 1 "$logs/restore.log")"
      rm -f "$dump"
    fi
  fi
  if [ -z "$from" ] && [ -n "${NETBOX_DUMP_SEED-}" ]; then
    if restore "$NETBOX_DUMP_SEED"; then
      from=seed
      cat "$NETBOX_DUMP_SEED" >"$dump.new"
      mv "$dump.new" "$dump"
    else
      warn "ignoring NETBOX_DUMP_SEED: $(tail -n 1 "$logs/restore.log")"
    fi
  fi
  if [ -z "$from" ]; then
    say "migrating an empty database (ten minutes and more; only this once: a dump is kept)"
    started=$SECONDS
    new_database
    PROXBOX_SYNC_NETBOX_DB=netbox_new long migrate "$venv/bin/netbox" migrate --no-input || die "the migration failed"
    "$pg_bin/pg_dump" -Fc --no-owner -f "$dump.new" netbox_new
    mv "$dump.new" "$dump"
    say "migrated in $((SECONDS - started)) s"
  fi
  sql 'ALTER DATABASE netbox_new RENAME TO netbox'
fi

# --- tokens -------------------------------------------------------------------------------

# v2 tokens are shown once and stored as digests, so they are made anew whenever ours are lost.
if [ ! -s "$runtime/tokens" ]; then
  ADMIN_PASSWORD=$ADMIN_PASSWORD "$py" >"$runtime/tokens.new" 2>"$logs/tokens.log" <<'PY' || {
import os
import django
django.setup()
from users.models import Token, User
admin, _ = User.objects.get_or_create(username="admin")
admin.is_superuser = admin.is_active = True
admin.set_password(os.environ["ADMIN_PASSWORD"])
admin.save()
note = "proxbox-sync tests"
Token.objects.filter(user=admin, description=note).delete()
v2 = Token(user=admin, version=2, write_enabled=True, description=note)
v2.full_clean()
v2.save()
v1 = Token(user=admin, version=1, write_enabled=True, description=note)
v1.full_clean()
v1.save()
print(f"NETBOX_TOKEN=nbt_{v2.key}.{v2.token}")
print(f"NETBOX_TOKEN_V1={v1.token}")
PY
    tail -n 5 "$logs/tokens.log" >&2
    die "could not make the tokens"
  }
  # Start-up messages of NetBox or of a plugin may stand on stdout as well.
  grep '^NETBOX_TOKEN' "$runtime/tokens.new" >"$runtime/tokens.part"
  rm -f "$runtime/tokens.new"
  mv "$runtime/tokens.part" "$runtime/tokens"
fi

# --- the server ---------------------------------------------------------------------------

status() {
  "$py" - "$runtime/tokens" "$(cat "$run/netbox.port")" <<'PY' 2>/dev/null
import sys, urllib.request
tokens = dict(line.strip().split("=", 1) for line in open(sys.argv[1]))
request = urllib.request.Request(
    f"http://127.0.0.1:{sys.argv[2]}/api/status/",
    headers={"Authorization": "Bearer " + tokens["NETBOX_TOKEN"]})
opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
with opener.open(request, timeout=20) as answer:
    sys.exit(answer.status != 200)
PY
}

if gunicorn_pid >/dev/null && status; then
  say "already running"
  if [ -n "${NETBOX_PORT-}" ] && [ "$NETBOX_PORT" != "$(cat "$run/netbox.port")" ]; then
    warn "NETBOX_PORT=$NETBOX_PORT ignored: it runs on $(cat "$run/netbox.port") until down.sh"
  fi
else
  # There, but without an answer: its database or its Redis may have been started anew.
  if pid=$(gunicorn_pid); then stop_pid "$pid" TERM; fi
  port netbox "${NETBOX_PORT-}"
  # As a file, since a setting that this gunicorn doesn't know is ignored here, not refused.
  cat >"$runtime/gunicorn.conf.py" <<CONF
bind = '127.0.0.1:$(cat "$run/netbox.port")'
workers = 2
threads = 2
timeout = 120
daemon = True
pidfile = '$run/gunicorn.pid'
chdir = '$runtime'
accesslog = '$logs/access.log'
errorlog = '$logs/gunicorn.log'
capture_output = True
control_socket_disable = True
CONF
  : >"$logs/gunicorn.log"
  env -u PGHOST -u PGPORT -u PGUSER -u PGPASSWORD \
    "$venv/bin/gunicorn" --config "$runtime/gunicorn.conf.py" netbox.wsgi:application </dev/null >/dev/null 2>&1 9>&-
  started=$SECONDS
  until status; do
    if [ $((SECONDS - started)) -gt 180 ] || { [ $((SECONDS - started)) -gt 5 ] && ! gunicorn_pid >/dev/null; }; then
      tail -n 20 "$logs/gunicorn.log" >&2
      die "NetBox did not start (logs: $logs)"
    fi
    sleep 0.3
  done
  say "NetBox $NETBOX_VERSION with netbox-proxbox $NETBOX_PROXBOX_VERSION is up"
fi

{
  printf 'NETBOX_URL=http://127.0.0.1:%s\n' "$(cat "$run/netbox.port")"
  cat "$runtime/tokens"
  printf 'PROXBOX_SYNC_TEST_NETBOX_ADMIN=admin\n'
  printf 'PROXBOX_SYNC_TEST_NETBOX_ADMIN_PASSWORD=%s\n' "$ADMIN_PASSWORD"
  printf 'PROXBOX_SYNC_TEST_NETBOX_VERSION=%s\n' "$NETBOX_VERSION"
  printf 'PROXBOX_SYNC_TEST_PROXBOX_VERSION=%s\n' "$NETBOX_PROXBOX_VERSION"
  printf 'PROXBOX_SYNC_TEST_DATABASE_URL=postgresql://netbox:%s@127.0.0.1:%s/netbox\n' "$PG_PASSWORD" "$pg_port"
} >"$env_file.new"
mv "$env_file.new" "$env_file"
done=1

say "http://127.0.0.1:$(cat "$run/netbox.port")"
say "URL and tokens: set -a; . $env_file; set +a"
