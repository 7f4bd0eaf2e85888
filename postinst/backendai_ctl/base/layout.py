"""Paths on the host, below a root that is / except in images and tests."""

from dataclasses import dataclass
from pathlib import Path

_SERVICES = "opt/backendai"
_SHIPPED = "usr/lib/backendai"


@dataclass(frozen=True, kw_only=True)
class Layout:
    """The folders and files of a host; messages show paths as the admin sees them."""

    root: Path = Path("/")

    # Files that the admin edits.

    @property
    def etc(self) -> Path:
        """The configuration of every service, and site.toml."""
        return self.root / "etc/backend.ai"

    @property
    def site(self) -> Path:
        """The file of answers."""
        return self.etc / "site.toml"

    @property
    def allow_upgrade(self) -> Path:
        """A file whose presence allows an upgrade that would otherwise be refused."""
        return self.etc / "allow-upgrade"

    # Files that the packages keep between runs.

    @property
    def state(self) -> Path:
        """The folder of all state."""
        return self.root / "var/lib/backendai"

    def place(self, path: str) -> Path:
        """Return where an absolute path of the host is."""
        return self.root / path.lstrip("/")

    @property
    def secrets(self) -> Path:
        """Secrets and key pairs, made on this host or imported from the first node."""
        return self.state / "secrets"

    @property
    def credentials(self) -> Path:
        """The first accounts' passwords and keys, for root alone."""
        return self.state / "credentials"

    @property
    def generated(self) -> Path:
        """One record per file that this tool made: the hash of what it last offered."""
        return self.state / "generated"

    @property
    def trust(self) -> Path:
        """Certificates of registries' authorities, for the manager and, as copies, for Docker."""
        return self.state / "trust"

    @property
    def tls(self) -> Path:
        """The certificate that this host makes for itself, its authority, and their keys."""
        return self.state / "tls"

    @property
    def docker(self) -> Path:
        """The admin's settings for Docker."""
        return self.root / "etc/docker"

    def unit_settings(self, unit: str) -> Path:
        """Return the folder of the admin's settings for ``unit``."""
        return self.root / f"etc/systemd/system/{unit}.d"

    def shipped_unit(self, unit: str) -> Path:
        """Return the file of ``unit`` as its package ships it."""
        return self.root / f"usr/lib/systemd/system/{unit}"

    @property
    def mounts(self) -> Path:
        """The mount point that each volume needs, as it was last seen."""
        return self.state / "mounts"

    @property
    def first_boot(self) -> Path:
        """One empty file for each service to configure at the first boot of an image."""
        return self.state / "first-boot"

    @property
    def preseed(self) -> Path:
        """Answers from before site.toml could be created; removed once it exists."""
        return self.state / "early-answers"

    @property
    def seed_state(self) -> Path:
        """The result of the last seeding run."""
        return self.state / "seed"

    @property
    def scan_state(self) -> Path:
        """What a scan for images leaves; its folder is its lock."""
        return self.seed_state / "scan"

    @property
    def waiting(self) -> Path:
        """One empty file for each service that starts once its stores are seeded."""
        return self.seed_state / "waiting"

    def held(self, service: str) -> Path:
        """Return the file that exists while ``service`` runs and its stores are being filled."""
        return self.root / f"run/backendai/{service}/held"

    @property
    def join(self) -> Path:
        """The cluster that this node has joined, and an invite that it is about to follow."""
        return self.state / "join"

    @property
    def upgrades(self) -> Path:
        """The state of upgrades, and by default the dumps."""
        return self.state / "upgrade"

    def upgrade_log(self, service: str) -> Path:
        """Return the log of the last migration, for root alone."""
        return self.upgrades / f"{service}.log"

    def stopped_note(self, service: str) -> Path:
        """Return the note that the service ran and was stopped for a migration or a restore."""
        return self.upgrades / f"{service}.stopped"

    def failure_note(self, service: str) -> Path:
        """Return the note with the reason why the last upgrade of the service failed."""
        return self.upgrades / f"{service}.failed"

    def addons_note(self, service: str) -> Path:
        """Return the note that an rpm transaction changed the service's add-ons."""
        return self.state / f".addons-{service}.posttrans"

    # Files that the packages ship.

    @property
    def shipped(self) -> Path:
        """The packages' own programs and data."""
        return self.root / _SHIPPED

    @property
    def suggestions(self) -> Path:
        """Answers that installed packages suggest for a new site.toml."""
        return self.shipped / "suggestions"

    @property
    def questions(self) -> Path:
        """The questions that site.toml answers; shipped by backendai-common."""
        return self.shipped / "questions.toml"

    @property
    def shared_secrets(self) -> Path:
        """The names of the secrets that all nodes share; shipped by backendai-common."""
        return self.shipped / "shared-secrets"

    @property
    def roles(self) -> Path:
        """The roles that a node can join a cluster in; shipped by backendai-common."""
        return self.shipped / "roles.toml"

    @property
    def recipes(self) -> Path:
        """The recipe of each installed service's configuration; shipped by its package."""
        return self.shipped / "recipes"

    @property
    def seed_data(self) -> Path:
        """The data to seed into each service's database; shipped by its package."""
        return self.shipped / "seed"

    def upgrade_data(self, service: str) -> Path:
        """Return the upgrade data of the package of ``service``."""
        return self.shipped / "upgrade" / f"{service}.toml"

    @property
    def addons(self) -> Path:
        """The data of each installed add-on; shipped by its package."""
        return self.shipped / "addons"

    def addon_files(self) -> list[Path]:
        """Return the data of each installed add-on: accelerators, and plug-ins of any service."""
        plugins = (self.shipped / "plugins").glob("*/*.toml")
        return sorted([*self.addons.glob("*.toml"), *plugins], key=lambda path: path.name)

    # A service's Python environment, and the runtime below all of them.

    @property
    def runtime(self) -> Path:
        """The folder of CPython and of the wheels that all services share."""
        return self.root / _SERVICES / "runtime"

    def prefix(self, service: str) -> Path:
        """Return the folder of the Python environment of ``service``."""
        return self.root / _SERVICES / service

    def python(self, service: str) -> Path:
        """Return the interpreter of the environment of ``service``."""
        return self.prefix(service) / "bin/python3"

    def run_script(self, service: str) -> Path:
        """Return the script that starts programs of ``service`` in its environment."""
        return self.prefix(service) / f"bin/run-{service}"

    def samples(self, service: str) -> Path:
        """Return the folder of sample configurations of the installed release of ``service``."""
        return self.prefix(service) / "share/backendai/samples"

    def fixtures(self, service: str) -> Path:
        """Return the folder of the installed release's fixtures, whose accounts are public."""
        return self.prefix(service) / "share/backendai/fixtures"
