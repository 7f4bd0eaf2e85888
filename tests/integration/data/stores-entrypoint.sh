#!/bin/sh
# Stands for the entry points of the official images of PostgreSQL and Valkey, in an image
# of the distribution's own servers: same arguments, same variables, same folders.
set -eu

if [ "$1" = postgres ]; then
    : "${POSTGRES_PASSWORD_FILE:?}" "${PGDATA:?}"
    bin="$(echo /usr/lib/postgresql/*/bin)"
    mkdir -p "$PGDATA" /run/postgresql
    chown -R postgres "$(dirname "$PGDATA")" /run/postgresql
    if ! [ -s "$PGDATA/PG_VERSION" ]; then
        umask 077
        cat "$POSTGRES_PASSWORD_FILE" >/run/postgresql/password
        chown postgres /run/postgresql/password
        runuser -u postgres -- "$bin/initdb" --pgdata="$PGDATA" --username=postgres \
            --pwfile=/run/postgresql/password --auth-local=trust --auth-host=scram-sha-256
        rm /run/postgresql/password
        echo 'host all all all scram-sha-256' >>"$PGDATA/pg_hba.conf"
    fi
    shift
    exec setpriv --reuid=postgres --regid=postgres --init-groups \
        "$bin/postgres" -D "$PGDATA" -c listen_addresses='*' -c unix_socket_directories=/var/run/postgresql "$@"
fi
if [ "$1" = valkey-server ]; then
    user=valkey
    id valkey >/dev/null 2>&1 || user=redis # Debian 12
    chown "$user" .
    exec setpriv --reuid="$user" --regid="$user" --init-groups "$@" --protected-mode no
fi
exec "$@"
