"""Two wheels at one place: the same file is fine, another one is refused before it is installed."""

from pathlib import Path

import pytest

from builder.base.cache import Cache
from builder.base.errors import PayloadError
from builder.wheels.claims import refuse_double_claims
from tests.helpers.wheelhouse import Recipe

SHARED = {"common/__init__.py": b"", "common/data.txt": b"data"}


def check(cache: Cache, *recipes: Recipe) -> None:
    refuse_double_claims([recipe.cached(cache) for recipe in recipes])


@pytest.fixture
def cache(tmp_path: Path) -> Cache:
    return Cache(root=tmp_path / "cache")


def test_the_same_file_at_one_place_is_accepted(cache: Cache) -> None:
    check(cache, Recipe(name="a", files=SHARED), Recipe(name="b", files=SHARED), Recipe(name="c"))


@pytest.mark.parametrize(
    ("second", "place"),
    [
        (Recipe(name="b", files={"common/data.txt": b"DATA"}), "common/data.txt"),
        (Recipe(name="b", files={"common/data.txt": b"longer"}), "common/data.txt"),
        (Recipe(name="b", files={"b-1.0.data/purelib/common/data.txt": b"x"}), "common/data.txt"),
        (
            Recipe(name="b", files={"common/data.txt": b"data"}, executable=["common/data.txt"]),
            "common/data.txt",
        ),
        (Recipe(name="b", files={"b-1.0.data/scripts/run": b"2"}), "bin/run"),
        (Recipe(name="b", files={"b-1.0.data/data/bin/run": b"2"}), "bin/run"),
    ],
)
def test_another_file_at_one_place_is_refused(cache: Cache, second: Recipe, place: str) -> None:
    first = Recipe(name="a", files={**SHARED, "a-1.0.data/scripts/run": b"1"})
    with pytest.raises(PayloadError) as caught:
        check(cache, first, second)
    assert caught.value.message == (
        f"b-1.0-py3-none-any.whl: installs {place}, which another wheel has with different "
        "content or mode (a-1.0-py3-none-any.whl)"
    )


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_a_file_at_the_place_of_a_folder_is_refused(cache: Cache, order: tuple[int, int]) -> None:
    recipes = [Recipe(name="a", files={"common": b""}), Recipe(name="b", files=SHARED)]
    with pytest.raises(PayloadError, match=r"a-1.0.*: installs common, which is a folder in"):
        check(cache, *(recipes[number] for number in order))
