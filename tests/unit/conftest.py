"""What all unit tests share: whatever a command prints with --json fits its schema."""

from collections.abc import Iterator
from typing import Any

import click
import pytest
from click.testing import CliRunner, Result

from tests.helpers import json_output


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
