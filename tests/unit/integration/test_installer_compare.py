"""Two dumps of stores and files: what differs, and which of it has a reason."""

from pathlib import Path
from typing import Any

import pytest

from builder.base.paths import PKGSPEC
from tests.integration.installer import Difference, Known, Reason, compare

USER = "00000000-0000-0000-0000-00000000000a"
REASONS = "differences.toml"


def dump(role: str, *, password: str = "x", **other: Any) -> dict[str, Any]:
    """A database with one user and one role, whose random id is ``role``."""
    tables = {
        "users": {"key": ["uuid"], "rows": [{"uuid": USER, "password": password}]},
        "roles": {"key": ["id"], "rows": [{"id": role, "name": f"owner-{role[:8]}"}]},
        "user_roles": {
            "key": ["id"],
            "rows": [
                {"id": f"{role[:-1]}0", "user_id": USER, "role_id": role, "at": other.pop("at", "")}
            ],
        },
    }
    return {"rows": tables, "etcd": {}, "files": {}} | other


ONE = "11111111-2222-4222-8222-333333333333"
TWO = "44444444-5555-4555-8555-666666666666"


def test_random_ids_and_times_are_no_difference() -> None:
    theirs = dump(ONE, at="2026-11-25T10:00:00+00:00")
    assert compare(theirs, dump(TWO, at="2026-11-26T11:00:00+00:00"), {}) == []


def test_a_value_a_row_a_key_and_a_file() -> None:
    theirs = dump(ONE, etcd={"/a": "1"}, files={"m.toml": {"k": "1"}, ".env": {"x": "1"}})
    ours = dump(TWO, password="y", etcd={"/a": "1", "/b": "2"}, files={"m.toml": {"k": "2"}})
    del ours["rows"]["user_roles"]
    found = compare(theirs, ours, {})
    assert [
        difference.where
        for difference in found
        if not difference.where.startswith("database/user_roles")
    ] == [
        "etcd/b",
        f"database/users/{USER}/password",
        "files/.env",
        "files/m.toml/k",
    ]
    (lost,) = [
        difference for difference in found if difference.where.startswith("database/user_roles/")
    ]
    assert (lost.theirs, lost.ours) == ("has it", None)


def test_rows_can_be_told_apart_by_other_columns() -> None:
    pairs = [{"key": ["access"], "rows": [{"access": name, "user": USER}]} for name in "ab"]
    theirs, ours = ({"rows": {"pairs": pair}, "etcd": {}, "files": {}} for pair in pairs)
    (found,) = compare(theirs, ours, {"pairs": ["user"]})
    assert found.where == f"database/pairs/{USER}/access"


def test_what_has_no_reason_and_what_has_no_difference_is_a_problem() -> None:
    known = Known(reasons=(Reason(where="etcd/a*", reason="x"),), keys={})
    new = Difference(where="etcd/b", theirs='"a secret"', ours=None)
    assert known.problems([new]) == [
        "etcd/b: only the installer has it",
        "etcd/a*: no difference there any more",
    ]
    assert known.problems([Difference(where="etcd/ab", theirs="1", ours="2")]) == []


def test_every_reason_says_why(tmp_path: Path) -> None:
    known = Known.load(PKGSPEC / "installers" / REASONS)
    assert all(len(reason.reason) > 20 for reason in known.reasons)
    (tmp_path / REASONS).write_text('[[difference]]\nwhere = "etcd/*"\n')
    with pytest.raises(TypeError, match="reason"):
        Known.load(tmp_path / REASONS)
