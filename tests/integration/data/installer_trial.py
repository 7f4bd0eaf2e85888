"""Does on a host what the release's own installer does, and dumps what stores and files hold.

Run by the manager's CPython: `installer_trial.py dump OUTPUT FILES…` writes one JSON object
with the rows of the database `backend`, etcd's keys and the named configuration files;
`installer_trial.py install WHEEL FOLDER` empties the stores and calls the installer's own
steps, as its package mode does, with FOLDER as its target: what would start containers,
or ask a registry of images, is left out. Prints what was left out, and what failed.
"""
# ruff: noqa: TID251 - it runs on the host, where the builder is not

import asyncio
import configparser
import contextlib
import importlib
import importlib.abc
import importlib.machinery
import io
import json
import os
import subprocess
import sys
import tomllib
import types
import zipfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

PASSWORD = "develove"  # the installer's own, which its samples have
NETWORK = ("rescan", "alias")
# Of the installer's user interface, and of what it uses for source trees alone.
ABSENT = ("textual", "rich", "ruamel", "aiofiles", "dateutil")
KEYS = """
SELECT c.relname, array_agg(a.attname ORDER BY a.attname)
  FROM pg_index i JOIN pg_class c ON c.oid = i.indrelid
  JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = ANY(i.indkey)
 WHERE i.indisprimary AND c.relnamespace = 'public'::regnamespace GROUP BY 1 ORDER BY 1
"""


class Names(type):
    """A class that has every name, too."""

    def __getattr__(cls, name: str) -> object:
        if name.startswith("__"):
            raise AttributeError(name)
        return cls


class Anything(metaclass=Names):
    """Stands for whatever the installer's user interface is made of."""

    def __init__(self, *_: object, **__: object) -> None: ...

    def __call__(self, given: object = None, *_: object) -> object:
        return given

    def __class_getitem__(cls, _: object) -> type:
        return cls


class AnyModule(types.ModuleType):
    """A module that has every name."""

    def __getattr__(self, name: str) -> object:
        if name.startswith("__"):
            raise AttributeError(name)
        return type(name, (Anything,), {})


class Finder(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Finds the modules that the manager's CPython has no need of."""

    def find_spec(self, name: str, *_: object) -> importlib.machinery.ModuleSpec | None:
        if name.partition(".")[0] not in ABSENT:
            return None
        return importlib.machinery.ModuleSpec(name, self, is_package=True)

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> types.ModuleType:
        return AnyModule(spec.name)

    def exec_module(self, module: types.ModuleType) -> None: ...


class Log:
    """Where the installer writes what it does."""

    def write(self, text: object) -> None:
        sys.stderr.write(f"{text}\n")


def sql(text: str) -> str:
    """What psql prints, unaligned, as the server's own user."""
    command = ["runuser", "-u", "postgres", "--", "psql", "-qAtX", "-v", "ON_ERROR_STOP=1"]
    done = subprocess.run(command, input=text, capture_output=True, text=True, check=True, cwd="/")
    return done.stdout


def call_manager(words: Sequence[str], folder: Path) -> None:
    """Run one of the manager's commands in this process, in the installer's folder."""
    module = importlib.import_module("ai.backend.manager.cli.__main__")
    here = Path.cwd()
    os.chdir(folder)
    try:
        module.main.main(args=list(words[1:]), prog_name="backend.ai", standalone_mode=False)
    except SystemExit as error:
        if error.code:
            raise RuntimeError(f"exit status {error.code}") from error
    finally:
        os.chdir(here)


def normalised(path: str) -> str:
    """A fixture with numbers where it has texts of digits, as seeding loads it."""
    fixture = json.loads(Path(path).read_text())
    for row in (row for listed in fixture.values() if isinstance(listed, list) for row in listed):
        row |= {key: int(value) for key, value in row.items() if str(value).isdigit()}
    made = Path("/run/normalised.json")
    made.write_text(json.dumps(fixture))
    return str(made)


def make_context(folder: Path, skipped: list[str], failed: list[str]) -> Any:
    """The installer's context for packages, at this host's stores."""
    context = importlib.import_module("ai.backend.install.context")
    kinds = importlib.import_module("ai.backend.install.types")

    class Trial(context.PackageContext):  # type: ignore[name-defined, misc]
        async def run_manager_cli(self, cmdargs: Sequence[str]) -> None:
            shown = " ".join(word.rpartition("/")[2] for word in cmdargs)
            if any(word in NETWORK for word in cmdargs):
                skipped.append(shown)
                return
            try:
                await asyncio.to_thread(call_manager, cmdargs, folder)
            except Exception:
                failed.append(shown)
                if cmdargs[1] != "fixture":
                    raise
                await asyncio.to_thread(
                    call_manager, [*cmdargs[:-1], normalised(cmdargs[-1])], folder
                )

        async def run_appproxy_coordinator_cli(self, cmdargs: Sequence[str]) -> None:
            skipped.append(" ".join(word.rpartition("/")[2] for word in cmdargs))

        async def run_exec(self, cmdargs: Sequence[str], **_: object) -> int:
            skipped.append(" ".join(map(str, cmdargs)))
            return 0

    context.current_log.set(Log())
    made = Trial(kinds.DistInfo(target_path=folder), kinds.InstallVariable(), None)
    made.os_info = kinds.OSInfo(kinds.Platform.LINUX_X86_64, "Debian", set())
    made.docker_sudo = []
    stores = made.install_info.halfstack_config
    pair = importlib.import_module("ai.backend.common.types").HostPortPair
    stores.postgres_addr = kinds.ServerAddr(pair("127.0.0.1", 5432))
    stores.redis_addr = kinds.ServerAddr(pair("127.0.0.1", 6379))
    stores.etcd_addr = [kinds.ServerAddr(pair("127.0.0.1", 2379))]
    return made


def unpack(wheel: Path, folder: Path) -> None:
    """Make the installer importable beside the manager's own modules."""
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder)
    package = importlib.import_module("ai.backend")
    package.__path__.append(str(folder / "ai/backend"))
    sys.meta_path.append(Finder())


def install(wheel: Path, folder: Path) -> dict[str, Any]:
    """Empty the stores, and let the installer fill them."""
    sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = 'backend';")
    sql("DROP DATABASE IF EXISTS backend;")
    sql(f"CREATE DATABASE backend; ALTER ROLE postgres PASSWORD '{PASSWORD}';")
    subprocess.run(["etcdctl", "del", "--prefix", "/sorna/"], check=True, capture_output=True)
    folder.mkdir(parents=True)
    os.chdir(folder)
    os.environ["BACKEND_CONFIG_FILE"] = str(folder / "manager.toml")
    os.environ.setdefault("DOCKER_HOST", "unix:///run/docker.sock")
    unpack(wheel, folder.with_name("installer"))
    skipped: list[str] = []
    failed: list[str] = []
    made = make_context(folder, skipped, failed)

    async def run() -> None:
        await made.configure()
        await made.populate_images()

    asyncio.run(run())
    return {"skipped": sorted(set(skipped)), "failed": failed}


def rows() -> dict[str, dict[str, Any]]:
    """Each table's rows, and the columns of its primary key."""
    asyncpg = importlib.import_module("asyncpg")

    async def read() -> dict[str, dict[str, Any]]:
        link = await asyncpg.connect(
            host="127.0.0.1", user="postgres", password=PASSWORD, database="backend"
        )
        tables = {name: list(key) for name, key in await link.fetch(KEYS)}
        names = await link.fetch("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
        found = {}
        for (name,) in sorted(names):
            listed = await link.fetch(f'SELECT to_jsonb(t)::text FROM "{name}" t')
            if listed:
                read_rows = [json.loads(row[0]) for row in listed]
                found[name] = {"key": tables.get(name, []), "rows": read_rows}
        await link.close()
        return found

    sql(f"ALTER ROLE postgres PASSWORD '{PASSWORD}';")
    return asyncio.run(read())


def keys() -> dict[str, str]:
    """Etcd's keys and values."""
    command = ["etcdctl", "get", "--prefix", "/", "--write-out=fields"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    lines = [line for line in done.stdout.splitlines() if line.startswith(('"Key"', '"Value"'))]
    values = [json.loads(line.partition(" : ")[2]) for line in lines]
    return dict(zip(values[::2], values[1::2], strict=True))


def flat(value: object, path: str = "") -> Iterator[tuple[str, object]]:
    """The leaves of nested tables, by their dotted keys."""
    if isinstance(value, dict) and value:
        for key, item in value.items():
            yield from flat(item, f"{path}.{key}" if path else str(key))
    else:
        yield path, value


def configuration(path: Path) -> dict[str, object]:
    """The keys of a configuration file; nothing of another."""
    text = path.read_text(encoding="utf-8", errors="replace")
    if path.suffix == ".ini":
        parser = configparser.ConfigParser(interpolation=None)
        parser.read_string(text)
        return {f"{name}.{key}": parser[name][key] for name in parser for key in parser[name]}
    if path.suffix in (".toml", ".conf"):
        return {key: str(value) for key, value in flat(tomllib.loads(text))}
    return {}


def dump(paths: Sequence[Path]) -> dict[str, Any]:
    """All of it; of folders the names of what lies below."""
    files: dict[str, object] = {}
    for path in paths:
        if path.is_dir():
            below = sorted(path_below for path_below in path.rglob("*") if path_below.is_file())
            files |= {
                str(path_below.relative_to(path)): configuration(path_below) for path_below in below
            }
        elif path.exists():
            files[path.name] = configuration(path)
    return {"rows": rows(), "etcd": keys(), "files": files}


def main() -> None:
    """As the module says."""
    if sys.argv[1] == "install":
        quiet = io.StringIO()
        with contextlib.redirect_stdout(quiet):
            report = install(Path(sys.argv[2]), Path(sys.argv[3]))
        sys.stdout.write(json.dumps(report) + "\n")
        return
    os.umask(0o077)  # there are secrets in it
    found = dump([Path(word) for word in sys.argv[3:]])
    Path(sys.argv[2]).write_text(json.dumps(found, default=str))


if __name__ == "__main__":
    main()
