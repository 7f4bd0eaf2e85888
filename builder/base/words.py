"""Words of messages."""

from collections.abc import Sequence

_UNITS = ("B", "kB", "MB", "GB")
_KILO = 1000


def name_some(names: Sequence[str], shown: int) -> str:
    """Return the first ``shown`` names and how many there are besides."""
    rest = len(names) - shown
    return ", ".join(names[:shown]) + (f" and {rest} more" if rest > 0 else "")


def size_text(size: int) -> str:
    """Format a size for people."""
    amount = float(size)
    for unit in _UNITS:
        if amount < _KILO or unit == _UNITS[-1]:
            return f"{amount:.0f} {unit}" if unit == "B" else f"{amount:.1f} {unit}"
        amount /= _KILO
    raise AssertionError("the last unit has no end")
