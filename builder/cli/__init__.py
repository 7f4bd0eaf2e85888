"""The command line: the only place that prints results and exits."""

import signal
import sys
from importlib import import_module
from types import FrameType
from typing import Any, NoReturn

import click
from rich.markup import escape

from builder import __version__
from builder.base import log
from builder.base.errors import BuilderError, ExitCode, SpecError
from builder.base.run import stop_children
from builder.base.storage import storage_error

# Imported when needed: 'builder --help' need not load httpx, nor a rebuild docker.
_COMMANDS = {
    "build": "builder.cli.build:build_command",
    "plan": "builder.cli.build:plan_command",
    "gate": "builder.cli.build:gate_command",
    "lock": "builder.cli.lock:lock_command",
    "release": "builder.cli.release:release_group",
    "installer": "builder.cli.installer:installer_command",
    "fetch": "builder.cli.fetch:fetch_command",
    "runtime": "builder.cli.runtime:runtime_group",
    "inspect": "builder.cli.inspect:inspect_command",
    "resolve": "builder.cli.resolve:resolve_command",
    "sbom": "builder.cli.sbom:sbom_command",
    "audit": "builder.cli.audit:audit_command",
    "attest": "builder.cli.provenance:attest_command",
    "verify-provenance": "builder.cli.provenance:verify_command",
    "reproduce": "builder.cli.provenance:reproduce_command",
    "verify": "builder.cli.verify:verify_command",
    "repo": "builder.cli.repo:repo_group",
    "bundle": "builder.cli.bundle:bundle_command",
    "matrix": "builder.cli.matrix:matrix_command",
    "merge": "builder.cli.merge:merge_command",
    "cache": "builder.cli.cache:cache_group",
    "doctor": "builder.cli.doctor:doctor_command",
    "schema": "builder.cli.schema:schema_command",
    "manual": "builder.cli.manual:manual_command",
}


class _Group(click.Group):
    """Loads commands late, and words failures.

    A failure is one message, its hint and its exit code; a traceback with --debug.
    """

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002
        """In the order of a release engineer's day."""
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        """The command, imported now."""
        if cmd_name not in _COMMANDS:
            return None
        module, _, name = _COMMANDS[cmd_name].partition(":")
        command: click.Command = getattr(import_module(module), name)
        return command

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except (click.ClickException, click.exceptions.Exit, click.Abort, BrokenPipeError):
            raise  # click has its own words for these
        except BaseException as error:
            if ctx.params.get("debug"):
                raise
            _fail(error)


def _fail(error: BaseException) -> NoReturn:
    match error:
        case SpecError():
            *others, last = error.problems
            for problem in others:
                _print_error(problem, None)
            _print_error(last, error.hint)
            sys.exit(error.exit_code)
        case BuilderError():
            _print_error(error.message, error.hint)
            sys.exit(error.exit_code)
        case KeyboardInterrupt():
            _print_error("interrupted", "nothing half-written is left; run it again to go on")
            sys.exit(ExitCode.INTERRUPTED)
        case OSError() if error.filename is not None:
            wrapped = storage_error(error, error.filename)
            _print_error(wrapped.message, wrapped.hint)
            sys.exit(wrapped.exit_code)
        case Exception():
            _print_error(
                f"{type(error).__name__}: {error}",
                "this is a fault of builder: run it with --debug and report the traceback",
            )
            sys.exit(ExitCode.INTERNAL)
        case _:
            raise error


def _print_error(message: str, hint: str | None) -> None:
    first, *rest = message.splitlines() or [""]
    log.console.print(f"[red]error:[/] {escape(first)}")
    for line in rest:  # what a tool said, or the other reasons: part of the one error
        log.console.print(f"  {escape(line)}")
    if hint:
        log.console.print(f"[cyan]hint:[/] {escape(hint)}")


def _interrupt(_signal: int, _frame: FrameType | None) -> NoReturn:
    # Worker threads wait for their programs: without this they would pack to the end.
    stop_children()
    raise KeyboardInterrupt


@click.group(cls=_Group, context_settings={"help_option_names": ["-h", "--help"]})
@click.option("-v", "--verbose", is_flag=True, help="Show every command and its output.")
@click.option("-q", "--quiet", is_flag=True, help="Show warnings and errors alone.")
@click.option("--debug", is_flag=True, help="Show a traceback where something fails.")
@click.version_option(__version__, prog_name="builder")
def main(verbose: bool, quiet: bool, debug: bool) -> None:
    """Build Backend.AI as deb and rpm packages, on a CPython of their own."""
    log.configure(1 if verbose or debug else -1 if quiet else 0)
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _interrupt)
