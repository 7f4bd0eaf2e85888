"""The part of a package's life on a host that deb and rpm share."""

from collections.abc import Callable
from dataclasses import dataclass

from builder.verify.hosts import Host
from builder.verify.listing import Listing, differences, read_names, take_listing
from tests.integration import checks, guide
from tests.integration.images import Suite
from tests.integration.steps import Steps
from tests.integration.stores import run_sql, start_stores

PACKAGES = ("backendai-common", "backendai-manager")  # RUNTIME below them has no settings
SETTINGS = ("site.toml", "manager.toml", "alembic.ini")
ADMIN_NOTE = "/etc/backend.ai/notes-of-the-admin.txt"
_ADMIN_LINE = "\n# edited by the admin\n"
_GROUP = "backendai-manager"  # that the service runs with


@dataclass(frozen=True, kw_only=True)
class Manager:
    """How one kind of package manager does its part; each call is checked."""

    install: Callable[[], object]
    reinstall: Callable[[], object]
    erase: Callable[[], object]


@dataclass(kw_only=True)
class Life:
    """One host's story; call the methods in the order they stand here."""

    host: Host
    suite: Suite
    manager: Manager
    version: str
    steps: Steps

    def prepare(self) -> None:
        """Start the stores and remember what the host is like without the packages."""
        with self.steps("stores"):
            self.stores = start_stores(self.host, self.suite)
        self.before = take_listing(self.host)
        self.names_before = read_names(self.host)

    def install(self) -> Listing:
        """Install, and check all that must hold then: filled stores, a running service."""
        with self.steps("install"):
            self.manager.install()
        host = self.host
        with self.steps("check what was installed"):
            installed = take_listing(host)
            problems = checks.check_code(host)
            problems += checks.check_world_writable(self.before, installed)
            problems += checks.check_settings(host, SETTINGS)
            problems += checks.check_python(host, "manager")
            problems += [f"{unit}: failed" for unit in host.failed_units()]
            enabled = host.run(["systemctl", "is-enabled", guide.UNIT], check=False).stdout
            if enabled.strip() != "enabled":
                problems.append(f"{guide.UNIT}: {enabled.strip() or 'unknown'}, not enabled")
            # Its stores answered: they are filled, and it runs.
            guide.wait_until_filled(host)
            host.wait_until(f"{guide.UNIT} runs", self.is_active, timeout=200)
            assert not problems, "\n".join(problems)
        return installed

    def edit(self) -> str:
        """Change the configuration as an admin would, and return what it then is."""
        path = f"{checks.SETTINGS}/manager.toml"
        self.host.run(["sh", "-c", f'printf "%s" "$0" >>{path}', _ADMIN_LINE])
        self.host.write(ADMIN_NOTE, "ask Kim before changing anything\n", mode=0o640)
        return self.host.read(path)

    def restart_and_check(self, installed: Listing) -> None:
        """Start with the edited configuration; check the answer and what running left."""
        host = self.host
        with self.steps("start to first answer"):
            guide.start_manager(host)
        answer = guide.get(host)
        assert f'"manager": "{self.version}"' in answer, answer
        with self.steps("check what running left"):
            now = take_listing(host)
            problems = checks.check_untouched(installed, now)
            problems += checks.check_world_writable(self.before, now)
            problems += checks.check_settings(host, SETTINGS)
            problems += checks.check_secrets(host)
            problems += self._check_accounts()
            problems += self._check_process()
            assert not problems, "\n".join(problems)

    def reinstall(self, edited: str) -> None:
        """Install the same version again: the edited configuration and the service stay."""
        host = self.host
        with self.steps("reinstall"):
            self.manager.reinstall()
        assert host.read(f"{checks.SETTINGS}/manager.toml") == edited
        with self.steps("answer after reinstallation"):
            guide.wait_for_answer(host, timeout=60)
        assert not host.failed_units()

    def erase(self, kept: tuple[str, ...], *, may_stay: tuple[str, ...] = ()) -> None:
        """Remove all: exactly ``kept`` is new on the host then, and the database is there.

        Below the folders of ``may_stay`` more may be left.
        """
        host = self.host
        with self.steps("remove"):
            self.manager.erase()
        left = differences(self.before, take_listing(host))
        folders = tuple(f"+ {folder}/" for folder in may_stay)
        unexpected = [
            line for line in left if line not in kept and not f"{line}/".startswith(folders)
        ]
        assert not unexpected, "\n".join(unexpected)
        assert set(kept) <= set(left), left
        names = read_names(host)
        made = {kind: set(names[kind]) - set(was) for kind, was in self.names_before.items()}
        assert made == {"passwd": {checks.ACCOUNT}, "group": {checks.ACCOUNT, _GROUP}}
        assert not host.failed_units()
        databases = run_sql(host, "SELECT datname FROM pg_database")
        assert "backend" in databases.split()

    def is_active(self) -> bool:
        """Whether the service runs."""
        command = ["systemctl", "is-active", "--quiet", guide.UNIT]
        return self.host.run(command, check=False).status == 0

    def _check_accounts(self) -> list[str]:
        """No account of the release's own is in, and only root can read those that are."""
        folder = "/var/lib/backendai/credentials"
        found = self.host.run(f"stat -c '%U %a' {folder} {folder}/manager.toml").stdout
        problems = [] if found == "root 700\nroot 600\n" else [f"{folder}: {found}"]
        known = run_sql(
            self.host,
            "SELECT count(*) FROM keypairs WHERE access_key LIKE '%EXAMPLE'"
            " UNION ALL SELECT count(*) FROM users WHERE status = 'active'"
            " UNION ALL SELECT count(*) FROM scaling_groups"
            " WHERE wsproxy_api_token = 'v625xZLOgbMHhl0s49VuqQ'",
            database="backend",
        )
        return problems if known == "0\n1\n0\n" else [*problems, f"accounts: {known.split()}"]

    def _check_process(self) -> list[str]:
        """The service runs as the account, and by the runtime's CPython."""
        main = self.host.run(["systemctl", "show", "-P", "MainPID", guide.UNIT]).stdout.strip()
        owner = self.host.run(["stat", "-c", "%U", f"/proc/{main}"]).stdout.strip()
        # As the account in the service's group: root of a container may not follow that link,
        # and the command line is what the server sets as its title.
        link = self.host.run(["readlink", f"/proc/{main}/exe"], user=f"{checks.ACCOUNT}:{_GROUP}")
        program = link.stdout.strip()
        problems = [] if owner == checks.ACCOUNT else [f"the service runs as {owner}"]
        if not program.startswith(f"{checks.ROOT}/runtime/bin/"):
            problems.append(f"the service runs by {program}")
        return problems
