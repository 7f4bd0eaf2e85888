"""What all unit tests share: they start no other program, and JSON fits its schema.

A test that needs gpg, uv, sh or another Python belongs to ``tests/component``: starting programs is
what takes long, and what fails where one is missing. A fork is allowed, which runs what this
process has loaded: steps are killed in one.
"""

import multiprocessing.util
import os
import subprocess
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from typing import Any

import click
import pytest
from click.testing import CliRunner, Result

from builder.base.paths import PROJECT
from tests.helpers import json_output
from tests.unit.postinst.certificates import make_pair

# Started all the same: what pkgspec ships is rendered with the commands of the target's tool, which
# a clean process reads from its parser. It does so once, for whichever test is the first.
_ALLOWED = os.fspath(PROJECT / "builder/plan/_describe_tool.py")
# By which Python starts a program; asyncio, pty and others go through these.
_STARTS = (
    (subprocess.Popen, "__init__"),  # noqa: TID251
    (multiprocessing.util, "spawnv_passfds"),
    (os, "posix_spawn"),
    (os, "posix_spawnp"),
    (os, "system"),
)


def _with(refuse: Callable[..., Any], start: Callable[..., Any]) -> Callable[..., Any]:
    """Return a function, which a class binds as a method, that hands ``start`` on."""
    return lambda *words, **more: refuse(start, *words, **more)


@contextmanager
def _no_other_program() -> Iterator[None]:
    """Fail where a program is started, in whichever thread and whoever catches errors there."""
    started: list[str] = []

    def refuse(start: Callable[..., Any], *words: Any, **more: Any) -> Any:
        if any(isinstance(word, list) and _ALLOWED in word for word in words):
            return start(*words, **more)
        shown = [word for word in words if not isinstance(word, subprocess.Popen)]  # noqa: TID251
        message = f"a unit test starts {shown[:2]}: move it to tests/component"
        started.append(message)
        pytest.fail(message)

    with pytest.MonkeyPatch.context() as patched:
        for owner, name in _STARTS:
            patched.setattr(owner, name, _with(refuse, getattr(owner, name)))
        yield
    assert not started, started[0]


@pytest.hookimpl(wrapper=True)
def pytest_runtest_setup() -> Generator[None, object, object]:
    """Guard the fixtures. Not what ends them: one of another folder's tests may end here."""
    with _no_other_program():
        return (yield)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call() -> Generator[None, object, object]:
    """Guard the test."""
    with _no_other_program():
        return (yield)


@pytest.fixture(scope="session", autouse=True)
def _one_authority(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Let clients trust one certificate by default, as no host outside is asked.

    Reading the system's hundreds takes 40 ms for each of them.
    """
    folder = tmp_path_factory.mktemp("authorities")
    certificate, _ = make_pair(folder)
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("SSL_CERT_FILE", str(certificate))
        patched.setenv("SSL_CERT_DIR", str(folder / "none"))
        yield


@pytest.fixture(scope="session", autouse=True)
def _json_is_as_documented() -> Iterator[None]:
    """Check the output of each call of each test: a field that no schema has fails the test."""
    invoke = CliRunner.invoke

    def checked(
        self: CliRunner, cli: click.Command, args: Any = None, *rest: Any, **more: Any
    ) -> Result:
        result = invoke(self, cli, args, *rest, **more)
        words = args.split() if isinstance(args, str) else [str(word) for word in args or ()]
        if "--json" in words:
            json_output.check(cli, words, result)
        return result

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(CliRunner, "invoke", checked)
        yield
