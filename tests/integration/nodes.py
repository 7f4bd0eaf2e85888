"""What makes hosts one cluster, as the operator's guide says."""

from pathlib import Path

from builder.verify.hosts import Host

_LISTEN = r"""
set -e
printf 'ETCD_LISTEN_CLIENT_URLS="http://0.0.0.0:2379"\n' >>/etc/default/etcd
printf 'ETCD_ADVERTISE_CLIENT_URLS="http://%s:2379"\n' "$0" >>/etc/default/etcd
sed -i 's/^bind .*/bind 0.0.0.0/; s/^protected-mode .*/protected-mode no/' /etc/valkey/valkey.conf
echo "listen_addresses = '*'" >>/etc/postgresql/17/main/postgresql.conf
echo 'host all all samenet scram-sha-256' >>/etc/postgresql/17/main/pg_hba.conf
systemctl restart etcd valkey-server postgresql
"""


def open_stores(host: Host) -> None:
    """Let the stores of a Debian 13 answer on the network, too."""
    host.run(["sh", "-c", _LISTEN, host.address], timeout=120)


def carry_secrets(source: Host, target: Host, folder: Path) -> None:
    """Give a host with backendai-common the secrets of another, by way of ``folder``."""
    source.run("umask 077; backendai-ctl secrets export >/root/secrets.tar")
    source.copy_out("/root/secrets.tar", folder)
    target.copy_in(folder / "secrets.tar", "/root/secrets.tar", mode=0o600)
    target.run("tar -C /var/lib/backendai/secrets -xf /root/secrets.tar")
    target.run("systemd-tmpfiles --create backendai.conf; rm /root/secrets.tar")
