"""A map of sizes as rectangles: each list is halved along the longer side. Pure."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from builder.release.compare import Area


@dataclass(frozen=True, kw_only=True)
class Box:
    """A rectangle for one area."""

    area: Area
    left: float
    top: float
    width: float
    height: float

    @property
    def change(self) -> str:
        """How the area has changed, as a word of the page's style."""
        if not self.area.before:
            return "new"
        if self.area.size == self.area.before:
            return "same"
        return "grown" if self.area.size > self.area.before else "shrunk"


def lay_out(areas: Sequence[Area], *, width: float, height: float) -> list[Box]:
    """Return a rectangle for each area that has a size; together they fill the whole."""
    sized = [area for area in areas if area.size > 0]
    ordered = sorted(sized, key=lambda area: (-area.size, area.name))
    return list(_halves(ordered, 0, 0, width, height))


def _halves(
    areas: Sequence[Area], left: float, top: float, width: float, height: float
) -> Iterator[Box]:
    if not areas:
        return
    if len(areas) == 1:
        yield Box(area=areas[0], left=left, top=top, width=width, height=height)
        return
    total = sum(area.size for area in areas)
    count, first = 1, areas[0].size
    while count < len(areas) - 1 and first + areas[count].size <= total / 2:
        first += areas[count].size
        count += 1
    share = first / total
    if width >= height:
        yield from _halves(areas[:count], left, top, width * share, height)
        yield from _halves(areas[count:], left + width * share, top, width * (1 - share), height)
    else:
        yield from _halves(areas[:count], left, top, width, height * share)
        yield from _halves(areas[count:], left, top + height * share, width, height * (1 - share))
