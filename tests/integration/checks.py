"""What must hold on a host that has the packages; each check returns the problems."""

import tomllib
from pathlib import Path

from builder.verify.hosts import Host
from builder.verify.listing import Listing

ROOT = "/opt/backendai"
SETTINGS = "/etc/backend.ai"
SECRETS = "/var/lib/backendai/secrets"
ACCOUNT = "backendai"
_DATA = Path(__file__).parent / "data"
_LEAK_FILE = "/root/secrets.txt"
_MIN_SECRET = 8  # shorter values, such as an empty one, occur everywhere
_STICKY = 0o1000
_WORLD_WRITABLE = 0o002


def check_code(host: Host) -> list[str]:
    """The payload is root's alone to change, and every link in it leads somewhere."""
    command = [
        *("find", ROOT, "(", "!", "-user", "root", "-o", "!", "-group", "root", "-o"),
        *("(", "!", "-type", "l", "-perm", "/022", ")", "-o", "-perm", "/6000", ")"),
        *("-printf", "%p: %u:%g %m\n"),
    ]
    problems = host.run(command).stdout.splitlines()
    writable = host.run(["find", ROOT, "!", "-type", "l", "-writable"], user=ACCOUNT, check=False)
    problems += [f"{line}: {ACCOUNT} may write it" for line in writable.stdout.splitlines()]
    problems += [f"cannot be read: {line}" for line in writable.stderr.splitlines()]
    dangling = host.run(["find", ROOT, "-xtype", "l"]).stdout.splitlines()
    return problems + [f"{line}: leads nowhere" for line in dangling]


def check_world_writable(before: Listing, after: Listing) -> list[str]:
    """Nothing new is open to everyone's writing, sticky folders excepted."""
    problems = []
    for path, entry in after.entries.items():
        mode = int(entry.mode, 8)
        is_open = mode & _WORLD_WRITABLE and not mode & _STICKY and entry.kind != "l"
        if is_open and path not in before.entries:
            problems.append(f"{path}: mode {entry.mode}")
    return problems


def check_settings(host: Host, names: tuple[str, ...]) -> list[str]:
    """The configuration is there, and readable by root and the account's group alone."""
    wanted = {SETTINGS: "root:backendai 750"}
    wanted |= {f"{SETTINGS}/{name}": "root:backendai 640" for name in names}
    problems = []
    for path, state in wanted.items():
        found = host.run(["stat", "-c", "%U:%G %a", path], check=False).stdout.strip()
        if found != state:
            problems.append(f"{path}: is {found or 'missing'}, not {state}")
    others = host.run(["find", SETTINGS, SECRETS, "-type", "f", "-perm", "/007"], check=False)
    return problems + [f"{line}: others may use it" for line in others.stdout.splitlines()]


def check_secrets(host: Host) -> list[str]:
    """No secret is in a log, an argument list or a file that others may read."""
    secrets = _secrets(host)
    if not secrets:
        return ["no secret found: has the configuration one?"]
    problems = []
    host.write(_LEAK_FILE, "\n".join([*secrets, ""]), mode=0o600)
    places = {
        "the journal": f"journalctl --no-pager --quiet | grep -cF -f {_LEAK_FILE}",
        "an argument list": f"cat /proc/[0-9]*/cmdline | tr '\\0' '\\n' | grep -cF -f {_LEAK_FILE}",
        "a log": f"grep -rlF -f {_LEAK_FILE} /var/log --exclude-dir=journal",
        "a file that others may read": (
            "find /etc /usr/lib/backendai /usr/share /var /run /opt/backendai/*/share -type f "
            f"-perm -o=r -exec grep -lF -f {_LEAK_FILE} {{}} +"
        ),
    }
    for place, script in places.items():
        output = host.run(script, check=False, timeout=90).stdout.strip()
        if output not in ("", "0"):
            problems.append(f"a secret is in {place}: {output}")
    host.run(["rm", _LEAK_FILE])
    return problems


def check_python(host: Host, service: str) -> list[str]:
    """The distributions that a service's environment sees are complete."""
    python = f"{ROOT}/{service}/bin/python3"
    target = "/root/check_metadata.py"
    host.copy_in(_DATA / "check_metadata.py", target)
    *problems, last = host.run([python, "-I", "-B", target]).stdout.strip().splitlines()
    if not last.startswith("checked ") or int(last.split()[1]) < 2:
        problems.append(f"{python}: {last}")
    return [problem for problem in problems if problem]


def check_untouched(before: Listing, after: Listing) -> list[str]:
    """Running wrote nothing below the payload, bytecode least of all."""
    old, new = before.below(ROOT), after.below(ROOT)
    problems = [f"{path}: appeared" for path in new.keys() - old.keys()]
    problems += [f"{path}: vanished" for path in old.keys() - new.keys()]
    problems += [f"{path}: changed" for path in old.keys() & new.keys() if old[path] != new[path]]
    return sorted(problems)


def _secrets(host: Host) -> list[str]:
    found = []
    if host.run(["test", "-e", f"{SETTINGS}/manager.toml"], check=False).status == 0:
        settings = tomllib.loads(host.read(f"{SETTINGS}/manager.toml"))
        found = [settings["db"].get("password", ""), settings["manager"].get("secret", "")]
    listed = host.run(["find", SECRETS, "-type", "f"], check=False).stdout.splitlines()
    for path in listed:
        text = host.read(path)
        if path.endswith(".key"):  # the public half of a pair
            continue
        # A key pair's secret half is a file of its own format; the key is in quotes.
        pieces = text.split('secret-key = "')
        found.append(pieces[1].split('"')[0] if len(pieces) > 1 else text.strip())
    return sorted({value for value in found if len(value) >= _MIN_SECRET})
