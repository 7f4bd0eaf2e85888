"""Modules that are imported when they are used."""

import subprocess
import sys

import pytest

from builder.base.lazy import LazyModule

_HEAVY = ("docker", "elftools", "httpx", "pygments", "tomlkit")


def test_a_module_is_imported_at_its_first_use(monkeypatch: pytest.MonkeyPatch) -> None:
    module = LazyModule("colorsys")
    monkeypatch.delitem(sys.modules, "colorsys", raising=False)
    assert "colorsys" not in sys.modules
    assert module.rgb_to_hsv(0, 0, 0) == (0.0, 0.0, 0)
    assert "colorsys" in sys.modules


def test_a_module_or_attribute_that_is_missing_is_an_error() -> None:
    with pytest.raises(ModuleNotFoundError):
        _ = LazyModule("no_such_module").attribute
    with pytest.raises(AttributeError, match="no_such_attribute"):
        _ = LazyModule("colorsys").no_such_attribute


def test_an_unchanged_build_does_not_pay_for_libraries_that_it_does_not_use() -> None:
    code = f"import sys, builder.cli.build; print([m for m in {_HEAVY} if m in sys.modules])"
    done = subprocess.run(  # noqa: TID251  # a fresh interpreter
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"
