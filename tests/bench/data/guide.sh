#!/bin/sh
# guide.sh: the steps of the official guide for the services of a single node, on a host where
# /guide has the answers: configuration, keys for etcd, fixtures, and the wheels to install.
# Prints "step NAME SECONDS" for each step.
set -eu
export DEBIAN_FRONTEND=noninteractive LC_ALL=C.UTF-8

trap '[ "$?" -eq 0 ] || tail -n 20 /root/guide.log >&2' EXIT
begin=
step() {
    now="$(date +%s.%N)"
    if [ -n "$begin" ]; then
        echo "step $name $(awk "BEGIN { printf \"%.2f\", $now - $begin }")"
    fi
    begin="$now"
    name="${1:-}"
}

mgr() {
    "/opt/guide/manager/bin/backend.ai" mgr "$@" >>/root/guide.log 2>&1
}

step stores
apt-get -y -qq --no-install-recommends install postgresql valkey-server etcd-server etcd-client \
    python3-venv >>/root/guide.log 2>&1
runuser -u postgres -- psql --quiet --no-psqlrc </guide/database.sql

step account
groupadd --gid 1100 backendai
useradd --uid 1100 --gid 1100 --home-dir /var/lib/backendai --create-home backendai
cp -a /guide/etc/backend.ai /etc/
cp -a /guide/var/lib/backendai/secrets /var/lib/backendai/
mkdir -p /srv/backendai/volume1
echo 3 >/srv/backendai/volume1/version.txt
for service in manager storage-proxy webserver; do
    mkdir -p "/var/lib/backendai/$service" "/var/log/backendai/$service" "/run/backendai/$service"
done
chown -R backendai: /var/lib/backendai /var/log/backendai /run/backendai /srv/backendai
chmod -R u=rwX,g=rX,o= /etc/backend.ai
chown -R backendai: /etc/backend.ai

for service in manager storage-proxy webserver client; do
    step "venv-$service"
    python3 -m venv "/opt/guide/$service"
    step "pip-$service"
    "/opt/guide/$service/bin/pip" install --quiet --no-index --find-links /guide/wheels \
        --requirement "/guide/$service.txt" >>/root/guide.log 2>&1
done

step etcd
cd /var/lib/backendai/manager
export BACKEND_CONFIG_FILE=/etc/backend.ai/manager.toml DOCKER_HOST=unix:///run/docker.sock
for file in /guide/etcd/*.json; do
    key="$(basename "$file" .json)"
    mgr etcd put-json "$(echo "$key" | tr + /)" "$file"
done

step schema
mgr schema oneshot -f /etc/backend.ai/alembic.ini

step fixtures
for file in /guide/fixtures/*.json; do
    mgr fixture populate "$file"
done

step start
cp /guide/units/*.service /etc/systemd/system/
systemctl daemon-reload
systemctl enable --now --quiet guide-manager guide-storage-proxy guide-webserver
step
