"""Messages: printed as they are, whatever they hold."""

import pytest
from rich.markup import escape

from builder.base import log


@pytest.mark.parametrize("text", ["root:x:0:0", ":warning:", "[red]not markup[/]", "a" * 200])
def test_a_message_is_printed_as_it_is(text: str) -> None:
    with log.console.capture() as captured:
        log.console.print(escape(text))
    assert captured.get() == f"{text}\n"
