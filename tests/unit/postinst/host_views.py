"""Hosts made up for the doctor's checks: a tree, what systemd and programs say."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from backendai_ctl.base.account import Owner
from backendai_ctl.base.layout import Layout
from backendai_ctl.base.programs import Done
from backendai_ctl.doctor.host_view import HostView
from backendai_ctl.doctor.model import Finding

from tests.unit.postinst.conftest import caller

RUNNING = {"LoadState": "loaded", "ActiveState": "active", "UnitFileState": "enabled"}
STOPPED = {"LoadState": "loaded", "ActiveState": "inactive", "UnitFileState": "enabled"}


@dataclass
class Programs:
    """Answers by the beginning of a command line; what was run is kept."""

    answers: dict[str, Done] = field(default_factory=dict)
    ran: list[str] = field(default_factory=list)

    def says(self, command: str, stdout: str = "", *, status: int = 0, stderr: str = "") -> None:
        """Let a command that begins so answer."""
        self.answers[command] = Done(status=status, stdout=stdout, stderr=stderr)

    def control(self, action: str, unit: str) -> str:
        """In the place of systemd, which starts and stops."""
        done = self.run(["systemctl", action, unit])
        return done.stderr if done.status else ""

    def run(self, command: Sequence[str]) -> Done:
        """In the place of a program."""
        line = " ".join(command)
        self.ran.append(line)
        known = [begin for begin in self.answers if line.startswith(begin)]
        if not known:
            return Done(status=127, stdout="", stderr="no such program")
        return self.answers[max(known, key=len)]


def host_view(
    layout: Layout,
    *,
    units: Mapping[str, Mapping[str, str]] | None = None,
    programs: Programs | None = None,
    account: Owner | None = None,
    is_root: bool = True,
) -> HostView:
    """A host whose account is, unless said otherwise, whoever runs the tests."""
    states, programs = units or {}, programs or Programs()
    return HostView(
        layout,
        run=programs.run,
        control=programs.control,
        show_units=lambda names: {name: states.get(name, {}) for name in names},
        account=account or caller(),
        is_root=is_root,
    )


def process(root: Path, pid: int, sockets: Sequence[int]) -> None:
    """A process in /proc with these sockets."""
    folder = root / f"proc/{pid}/fd"
    folder.mkdir(parents=True)
    for number, inode in enumerate(sockets):
        (folder / str(number)).symlink_to(f"socket:[{inode}]")
    (folder / "99").symlink_to("/dev/null")


def tcp_table(root: Path, name: str, rows: Sequence[tuple[str, int, str, int]]) -> None:
    """/proc/net/tcp or tcp6: hexadecimal host, port, state and inode of each socket."""
    path = root / "proc/net" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = ["  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt uid"]
    lines += [
        f"   {at}: {host}:{port:04X} 00000000:0000 {state} 00000000:00000000 00:00000000 "
        f"00000000  1100        0 {inode} 1 0000000000000000 100 0 0 10 0"
        for at, (host, port, state, inode) in enumerate(rows)
    ]
    path.write_text("\n".join(lines) + "\n")


def said(findings: Iterator[Finding] | list[Finding]) -> list[str]:
    """What was found, in words."""
    return [f"{finding.severity.word}: {finding.where}: {finding.what}" for finding in findings]
