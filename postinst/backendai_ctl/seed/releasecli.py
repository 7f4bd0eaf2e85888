"""Calls the release's own commands, in this process if it is the service's CPython.

One call by the run script takes four seconds, nearly all of it imports; in one process
only the first call pays for them.
"""

import contextlib
import importlib
import os
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from backendai_ctl.base.errors import NotReadyError
from backendai_ctl.base.files import private_writer
from backendai_ctl.base.layout import Layout
from backendai_ctl.base.preload import import_early
from backendai_ctl.base.programs import run_program
from backendai_ctl.base.redact import hide, redact_urls
from backendai_ctl.base.text import lines_of
from backendai_ctl.registries.trust import trusted_bundle
from backendai_ctl.seed.data import SeedData

_SECONDS = 600
_TAIL_LINES = 12
_CALL = """
import importlib, sys
command = getattr(importlib.import_module(sys.argv[1]), sys.argv[2])
command.main(args=sys.argv[3:], prog_name="backend.ai")
"""


@dataclass(kw_only=True)
class ReleaseCli:
    """The commands of one service; their output goes to ``log``, which only root can read.

    The log is that of the last command, so runs that may go on at once have one each. A failing
    fixture prints its rows, so nothing is shown before ``hidden`` is masked.
    """

    layout: Layout
    data: SeedData
    config: Path
    log: Path
    hidden: Sequence[str] = ()

    def run(self, *words: str) -> None:
        """Run one command; NotReadyError with the end of its output if it fails."""
        private_writer().replace(self.log, "")
        if self.is_own:
            failure = self._in_process(self.data.entry, words)
        else:
            failure = self._by_script(["backend.ai", *self.data.command, *words])
        self._check(failure, f"backend.ai {' '.join((*self.data.command, *words))}")

    def call(self, entry: str, *words: str) -> None:
        """Call the command at ``entry``, MODULE:NAME, by itself; NotReadyError if it fails.

        For a command that works and whose group does not.
        """
        private_writer().replace(self.log, "")
        if self.is_own:
            failure = self._in_process(entry, words)
        else:
            failure = self._by_script(["python3", "-c", _CALL, *entry.split(":"), *words])
        self._check(failure, f"{entry} {' '.join(words)}")

    def preload(self) -> None:
        """Import what the commands need, if they run in this process; then they answer sooner."""
        if not self.is_own:
            return
        private_writer().replace(self.log, "")
        with _environment(self._variables()), _output_into(self.log):
            import_early(self.data.entry.partition(":")[0], *self.data.imports)

    def _check(self, failure: str | None, shown: str) -> None:
        if failure:
            raise NotReadyError(
                f"`{shown}` failed: {failure}\n{self._tail()}".rstrip(),
                hint=f"all of its output is in {self.log}",
            )

    @property
    def is_own(self) -> bool:
        """Whether this process is the service's CPython."""
        own = self.layout.prefix(self.data.service)
        return own.exists() and Path(sys.prefix).resolve() == own.resolve()

    def _in_process(self, entry: str, words: Sequence[str]) -> str | None:
        module, _, name = entry.partition(":")
        with _environment(self._variables()), _output_into(self.log):
            try:
                command = getattr(importlib.import_module(module), name)
                command.main(args=list(words), prog_name="backend.ai", standalone_mode=False)
            except SystemExit as error:
                return f"exit status {error.code}" if error.code not in (None, 0) else None
            except Exception as error:
                line = str(error).strip().partition("\n")[0] or type(error).__name__
                return redact_urls(hide(line, self.hidden))
        return None

    def _by_script(self, words: Sequence[str]) -> str | None:
        command = [str(self.layout.run_script(self.data.service)), *words]
        environment = {**os.environ, **self._variables()}
        done = run_program(command, seconds=_SECONDS, env=environment, log=self.log)
        return f"exit status {done.status}" if done.status else None

    def _variables(self) -> dict[str, str]:
        variables = {"BACKEND_CONFIG_FILE": str(self.config)}
        bundle = trusted_bundle(self.layout)
        if bundle is not None:
            variables["SSL_CERT_FILE"] = str(bundle)
        if "DOCKER_HOST" not in os.environ and not Path("/run/docker.sock").exists():
            # The release's commands need an address even if Docker is not used.
            variables["DOCKER_HOST"] = "unix:///run/docker.sock"
        return variables

    def _tail(self) -> str:
        try:
            text = self.log.read_text(encoding="utf-8", errors="replace")
        except OSError:
            return ""
        text = redact_urls(hide(text, self.hidden))
        # The values of a statement may hold secrets that ``hidden`` does not list.
        lines = [line for line in lines_of(text) if "[parameters:" not in line]
        return "\n".join(lines[-_TAIL_LINES:])


@contextlib.contextmanager
def _environment(variables: dict[str, str]) -> Iterator[None]:
    before = {name: os.environ.get(name) for name in variables}
    os.environ.update(variables)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


@contextlib.contextmanager
def _output_into(path: Path) -> Iterator[None]:
    """Append the output of this process, its libraries included, to a file."""
    sys.stdout.flush()
    sys.stderr.flush()
    kept = [os.dup(1), os.dup(2)]
    log = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_NOFOLLOW)
    try:
        os.dup2(log, 1)
        os.dup2(log, 2)
        yield
    finally:
        for stream in (sys.stdout, sys.stderr):
            with contextlib.suppress(OSError):  # the disk may be full
                stream.flush()
        for number, copy in enumerate(kept, start=1):
            os.dup2(copy, number)
            os.close(copy)
        os.close(log)
