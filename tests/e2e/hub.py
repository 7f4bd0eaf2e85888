"""A registry as a site has one: TLS by a private authority, a user, and an image of its own."""

from builder.verify.hosts import Host
from tests.e2e import kernel
from tests.e2e.nodes import Node
from tests.integration.apt import apt
from tests.integration.certificates import FUNCTIONS

NAME = "hub.example.org:5000"
FURTHER = "further.example.org:5000"  # the same server, which the cluster takes for another
IMAGE = f"{NAME}/{kernel.NAME}"
AUTHORITY = "/etc/hub/authority.pem"
_SITE = "/etc/backend.ai/site.toml"
_ANSWERS = f"""
[registry]
url = "https://{NAME}"
type = "docker"
projects = "stable"
"""
_USER = "reader"
_CONFIG = """\
version: 0.1
storage: {filesystem: {rootdirectory: /var/lib/docker-registry}}
http:
  addr: :5000
  tls: {certificate: /etc/hub/hub.crt, key: /etc/hub/hub.key}
auth: {htpasswd: {realm: hub, path: /etc/hub/users}}
"""
_MAKE = f"""\
set -eu
umask 022
mkdir -p /etc/hub
cd /etc/hub
{FUNCTIONS}
authority authority
pair hub authority DNS:hub.example.org,DNS:further.example.org -days 30
mv hub.pem hub.crt
chmod 0640 hub.key
chgrp docker-registry hub.key
openssl rand -hex 16 >password
htpasswd -iBc users reader <password
echo '127.0.0.1 hub.example.org further.example.org' >>/etc/hosts
systemctl restart docker-registry
"""
_PUSH = """\
set -eu
export HOME=/root/push
docker login --username reader --password-stdin "$1" </etc/hub/password
docker tag "$2" "$3"
docker push --quiet "$3"
docker image rm --force "$3" "$2"
rm -rf /root/push
"""


def name_as_main(host: Host) -> None:
    """Name the registry in the place of the default one, before the installation."""
    host.run(f"cat >>{_SITE} <<'END'{_ANSWERS}END")


def open_registry(host: Host) -> None:
    """Let Debian's registry serve by TLS, and let in one user."""
    apt(host, "install", "docker-registry", "apache2-utils", "openssl")
    host.write("/etc/docker/registry/config.yml", _CONFIG, mode=0o644)
    host.run(["sh", "-c", _MAKE])


def give_image(node: Node) -> None:
    """Push an image that nothing else is, and leave the node without it."""
    kernel.load(node.host)
    own = "hub-only"
    node.host.run(
        f"docker create --name {own} {kernel.NAME} && docker commit"
        f" --change 'LABEL org.example.of=hub' {own} {own} && docker rm {own}"
    )
    # As Docker knows the authority already, which is the package's work.
    node.host.run(["sh", "-c", _PUSH, "push", NAME, own, IMAGE], timeout=300)
    node.host.run(["docker", "image", "rm", "--force", kernel.NAME])
    left = node.host.run(["docker", "images", "--quiet", "--filter", "label=org.example.of"])
    assert not left.stdout


def name_in_site(node: Node) -> None:
    """Let the main registry, and a further one, be read by the user who may."""
    _set(node, "registry.further.url", f"https://{FURTHER}")
    for section in ("registry", "registry.further"):
        for key, value in (("user", _USER), ("ca", AUTHORITY)):
            _set(node, f"{section}.{key}", value)
        give_password(node, "/etc/hub/password", section=section)


def give_password(node: Node, path: str, *, section: str = "registry") -> None:
    """Put a password into site.toml, from a file."""
    node.host.run(f"backendai-ctl site set {section}.password - <{path}")


def _set(node: Node, name: str, value: str) -> None:
    node.host.run(["backendai-ctl", "site", "set", name, value])
