"""A chart of a repository's growth, as places of bars: the template draws them. Pure."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import accumulate

WIDTH, HEIGHT = 600, 160  # of the plot, in the units of the drawing
_BARS = 60  # more would run into each other


@dataclass(frozen=True, kw_only=True)
class Bar:
    """The size of the repository at the end of a day."""

    day: str
    bytes: int  # of all packages that are here now and were added until then
    x: float
    y: float
    width: float
    height: float


def growth_bars(added: Mapping[str, int]) -> list[Bar]:
    """Return a bar for each of the last days that added something; ``added`` is sorted by day."""
    totals = list(zip(added, accumulate(added.values()), strict=True))[-_BARS:]
    return list(_bars(totals))


def _bars(totals: list[tuple[str, int]]) -> Iterator[Bar]:
    highest = max((size for _, size in totals), default=0)
    step = WIDTH / max(len(totals), 1)
    for number, (day, size) in enumerate(totals):
        height = round(HEIGHT * size / highest, 2) if highest else 0.0
        yield Bar(
            day=day,
            bytes=size,
            x=round(number * step, 2),
            y=round(HEIGHT - height, 2),
            width=round(step * 0.8, 2),
            height=height,
        )
