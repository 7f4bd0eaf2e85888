"""Whose file is whose: the fewest globs that name no other wheel's files."""

from pathlib import Path

from builder.sbom.places import find_places, own_globs
from tests.helpers.parts import SITE, unpacked
from tests.helpers.wheelhouse import Recipe


def test_folders_that_several_have_are_gone_into() -> None:
    found = own_globs(
        {
            "manager": [f"{SITE}/ai/backend/manager/a.py", f"{SITE}/ai/backend/manager/b/c.py"],
            "common": [f"{SITE}/ai/backend/common/x.py", f"{SITE}/ai/backend/py.typed"],
            "alone": [f"{SITE}/alone/a.py", f"{SITE}/alone/deep/b.py", f"{SITE}/single.py"],
        }
    )
    assert found == {
        "manager": (f"{SITE}/ai/backend/manager/*",),
        "common": (f"{SITE}/ai/backend/common/*", f"{SITE}/ai/backend/py.typed"),
        "alone": (f"{SITE}/alone/*", f"{SITE}/single.py"),
    }


def test_a_file_outside_of_site_packages_is_named_by_itself() -> None:
    assert own_globs({"own": ["bin/own tool", "share/own/x"]}) == {
        "own": ("bin/own?tool", "share/own/x")
    }


def test_the_record_of_a_wheel_says_what_it_has(tmp_path: Path) -> None:
    wheels = [unpacked(Recipe(name=name), tmp_path / name) for name in ("first", "second")]
    record = wheels[0].tree / wheels[0].record
    record.write_text(record.read_text() + "../../../bin/first,,\n", encoding="utf-8")
    assert find_places(wheels)["first-1.0-py3-none-any.whl"] == (
        "bin/first",
        f"{SITE}/first-1.0.dist-info/*",
        f"{SITE}/first.py",
    )
