"""Kills and races the seeding tool against real stores, on a host where it is installed.

Run by the manager's CPython: `seed_trials.py kill RUNS` kills a run at a step's begin or at
a random time, as often as it takes, and lets it finish; `seed_trials.py race ROUNDS` starts
three nodes at once. After each, what the stores hold is compared with what one undisturbed
run left. Prints one JSON object; every difference is in its "problems".
"""
# ruff: noqa: TID251 - it runs on the host, where the builder is not

import contextlib
import hashlib
import json
import os
import random
import re
import shutil
import subprocess
import sys
import time
import tomllib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

PYTHON = "/opt/backendai/manager/bin/python3"
TARGET = "/usr/lib/backendai/target"
NODES = [Path(f"/srv/nodes/{name}") for name in ("one", "two", "three")]
RESET = """
SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = 'backend';
DROP DATABASE IF EXISTS backend;
DROP ROLE IF EXISTS backend;
"""
UUID = re.compile("[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")  # some have the time in them
ROLE = re.compile('(?<=_member)-[0-9a-f]{8}(?=")')  # named after an id
# Rows are compared without what differs from run to run: times, and hashes with a salt.
UNSTABLE = (
    "id",
    "created_at",
    "updated_at",
    "modified_at",
    "granted_at",
    "password",
    "ssh_public_key",
    "ssh_private_key",
    "password_changed_at",
    "dotfiles",
    "bootstrap_script",
)
SECONDS = 120
State = dict[str, list[str]]
Ending = tuple[int, str, float]  # status, what it said, seconds


def sql(text: str, database: str = "postgres") -> str:
    """What psql prints, unaligned, as the server's own user."""
    command = ["runuser", "-u", "postgres", "--", "psql", "-qAtX", "-v", "ON_ERROR_STOP=1"]
    done = subprocess.run(
        [*command, "-d", database], input=text, capture_output=True, text=True, check=False, cwd="/"
    )
    if done.returncode:
        raise RuntimeError(done.stderr)
    return done.stdout


def etcd(*words: str) -> str:
    """What etcdctl prints."""
    done = subprocess.run(["etcdctl", *words], capture_output=True, text=True, check=True)
    return done.stdout


def reset() -> None:
    """Empty the stores, and let the nodes forget; their secrets stay."""
    sql(RESET)
    etcd("del", "--prefix", "/sorna/")
    for node in NODES:
        shutil.rmtree(node / "var/lib/backendai/seed", ignore_errors=True)
        shutil.rmtree(node / "var/lib/backendai/credentials", ignore_errors=True)


def make_nodes() -> None:
    """Three hosts that share their secrets and their configuration, each a tree of its own."""
    for node in NODES:
        shutil.rmtree(node, ignore_errors=True)
        for folder in ("etc/backend.ai", "var/lib/backendai/secrets"):
            shutil.copytree(f"/{folder}", node / folder)
            subprocess.run(["chown", "-R", "root:backendai", str(node / folder)], check=True)
        (node / "usr/lib").mkdir(parents=True)
        (node / "usr/lib/backendai").symlink_to("/usr/lib/backendai")
        (node / "opt").symlink_to("/opt")


def start(node: Path) -> "subprocess.Popen[str]":
    """Begin to fill the stores from a node."""
    command = [
        PYTHON,
        "-I",
        "-B",
        TARGET,
        "--root",
        str(node),
        "seed",
        "apply",
        "--no-start",
        "--wait",
        "60",
    ]
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)


def rows() -> list[str]:
    """What the database holds, in a form that two runs have in common."""
    tables = sql(
        "SELECT tablename FROM pg_tables WHERE schemaname = 'public' ORDER BY 1", "backend"
    ).split()
    query = "".join(
        f"SELECT '{table}', to_jsonb(t) - ARRAY{list(UNSTABLE)!r} FROM {table} t;\n"
        for table in tables
    )
    lines = sql(query, "backend").splitlines()
    return sorted(ROLE.sub("", UUID.sub("(uuid)", line)) for line in lines)


def state(node: Path) -> State:
    """What the stores and the node hold, likewise."""
    keys = etcd("get", "--prefix", "/sorna/").splitlines()
    accounts = (node / "var/lib/backendai/credentials/manager.toml").read_text()
    return {"rows": rows(), "etcd": keys, "accounts": accounts.splitlines()}


def check_password(node: Path) -> list[str]:
    """Whether the database has the password that the admin was given."""
    table = tomllib.loads((node / "var/lib/backendai/credentials/manager.toml").read_text())
    admin = table["account"][0]
    stored = sql(f"SELECT password FROM users WHERE email = '{admin['email']}'", "backend").strip()
    _, rounds, salt, digest = stored.split("$")
    given = admin["password"].encode()
    made = [
        hashlib.pbkdf2_hmac("sha256", given, form, int(rounds)).hex()
        for form in (salt.encode(), bytes.fromhex(salt))
    ]
    return [] if digest in made else [f"the password of {admin['email']} is another one"]


def compare(name: str, found: State, wanted: State) -> list[str]:
    """Where two states differ."""
    problems = []
    for part in wanted:
        if found[part] != wanted[part]:
            new = sorted(set(found[part]) ^ set(wanted[part]))[:4]
            problems.append(f"{name}: {part} differs: {new}")
    return problems


def kill_once(node: Path, number: int, steps: int, source: random.Random) -> str:
    """Start a run and kill it; returns what it was doing."""
    process = start(node)
    seen: list[str] = []
    assert process.stderr is not None
    if number < steps:  # at the begin of each step in turn
        for line in process.stderr:
            seen.append(line.strip())
            if len(seen) > number:
                break
    else:
        time.sleep(source.uniform(0.1, 6.0))
    process.kill()
    rest = process.stderr.read()
    process.wait()
    return (seen or rest.strip().splitlines() or [""])[-1]


def change_as_admin() -> list[str]:
    """What an admin may do between two runs, where it is possible already."""
    changed: list[str] = []
    if etcd("get", "/sorna/local/config/redis/addr").strip():
        etcd("put", "/sorna/local/config/redis/addr", "localhost:6379")
        changed.append("etcd")
    with contextlib.suppress(RuntimeError):  # no such table yet
        done = sql(
            "UPDATE users SET full_name = 'Kim' WHERE username = 'admin' RETURNING 1", "backend"
        )
        changed += ["users"] if done.strip() else []
    return changed


def lost_changes(changed: list[str]) -> list[str]:
    """What of these changes is no longer there."""
    problems = []
    if "etcd" in changed and "localhost" not in etcd("get", "/sorna/local/config/redis/addr"):
        problems.append("the admin's key of etcd is lost")
    name = "SELECT full_name FROM users WHERE username = 'admin'"
    if "users" in changed and "Kim" not in sql(name, "backend"):
        problems.append("the admin's row is lost")
    return problems


def undo(changed: list[str]) -> None:
    """Take the changes back, to compare with what an undisturbed run left."""
    if "etcd" in changed:
        etcd("put", "/sorna/local/config/redis/addr", "127.0.0.1:6379")
    if "users" in changed:
        sql("UPDATE users SET full_name = 'Admin Lablup' WHERE username = 'admin'", "backend")


def finish(node: Path) -> Ending:
    """Fill the stores from a node, to the end."""
    begin = time.monotonic()
    process = start(node)
    _, said = process.communicate(timeout=SECONDS)
    return process.returncode, said, time.monotonic() - begin


def kills(runs: int, wanted: State, steps: int, seed: int) -> dict[str, object]:
    """Kill, change something as an admin, run again, compare; as often as asked for."""
    source = random.Random(seed)
    problems: list[str] = []
    where: dict[str, int] = {}
    for number in range(runs):
        reset()
        moment = kill_once(NODES[0], number % (steps * 2), steps, source)
        where[moment[:60]] = where.get(moment[:60], 0) + 1
        if source.random() < 0.3:  # killed again while it repairs the first
            kill_once(NODES[0], steps, steps, source)
        changed = change_as_admin()
        status, said, _ = finish(NODES[0])
        name = f"run {number}, killed at {moment!r}"
        if status:
            problems.append(f"{name}: ended with {status}: {said[-600:]}")
            continue
        problems += [f"{name}: {change}" for change in lost_changes(changed)]
        undo(changed)
        problems += compare(name, state(NODES[0]), wanted)
        if number % 10 == 0:
            problems += check_password(NODES[0])
        sys.stderr.write(f"{number}: {len(problems)} problems: killed at {moment[:60]}\n")
        sys.stderr.flush()
    return {"runs": runs, "killed_at": where, "problems": problems}


def races(rounds: int, wanted: State) -> dict[str, object]:
    """Three nodes at once: one fills the stores, all end well with the same result."""
    problems: list[str] = []
    seconds: list[float] = []
    for number in range(rounds):
        reset()
        with ThreadPoolExecutor(len(NODES)) as pool:
            results = list(pool.map(finish, NODES))
        name = f"round {number}"
        for node, (status, said, _) in zip(NODES, results, strict=True):
            if status:
                problems.append(f"{name}: {node.name} ended with {status}: {said[-600:]}")
        # Who loads one fixture loads all of them.
        loaded = [said.count("manager: fixture ") for _, said, _ in results]
        if sum(1 for count in loaded if count) != 1:
            problems.append(f"{name}: {loaded} fixtures were loaded by the nodes")
        seconds.append(round(max(took for _, _, took in results), 1))
        if not problems:
            for node in NODES:
                problems += compare(f"{name}, {node.name}", state(node), wanted)
    return {"rounds": rounds, "seconds": seconds, "problems": problems}


def main() -> None:
    """As the module says."""
    kind, count = sys.argv[1], int(sys.argv[2])
    os.chdir("/")
    # Our processes are killed here, not the server; and the machine is a busy one.
    sql("ALTER SYSTEM SET fsync = off")
    sql("SELECT pg_reload_conf()")
    make_nodes()
    reset()
    status, said, took = finish(NODES[0])
    if status:
        sys.exit(said)
    wanted = state(NODES[0])
    problems = check_password(NODES[0])
    steps = len(said.splitlines()) - 1
    seed = int(sys.argv[3]) if len(sys.argv) > 3 else 0
    report = kills(count, wanted, steps, seed) if kind == "kill" else races(count, wanted)
    found = report["problems"]
    report["problems"] = problems + (found if isinstance(found, list) else [])
    report |= {"undisturbed_s": round(took, 1), "steps": steps}
    sys.stdout.write(json.dumps(report) + "\n")


if __name__ == "__main__":
    main()
