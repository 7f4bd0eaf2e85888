"""Words of messages."""

from collections.abc import Sequence


def name_some(names: Sequence[str], shown: int) -> str:
    """Return the first ``shown`` names and how many there are besides."""
    rest = len(names) - shown
    return ", ".join(names[:shown]) + (f" and {rest} more" if rest > 0 else "")
