"""Names, versions and architectures against the programs that define them."""

import pytest

from builder.base.errors import PayloadError
from builder.base.model import PackageFormat
from builder.inspect.identity import Identity
from tests.unit.inspect.identities import DEB, RPM, is_accepted


@pytest.mark.parametrize("fmt", list(PackageFormat))
@pytest.mark.parametrize(
    "name",
    ["", ".", "..", "../../pwn", "a/b", "/etc", "a b", "a\n", "a\0b", "-a", "é", "a" * 250, "a\\b"],
)
def test_a_name_that_is_no_name_is_refused(fmt: PackageFormat, name: str) -> None:
    assert not is_accepted(fmt, name=name)


@pytest.mark.parametrize("fmt", list(PackageFormat))
@pytest.mark.parametrize(
    "version",
    ["", "1/2-1", "1-1\n", "1 -1", "-1", ":1-1", "a:1-1", "-1:1-1", "99999999999:1-1", "1-", "é-1"],
)
def test_a_version_that_is_none_is_refused(fmt: PackageFormat, version: str) -> None:
    assert not is_accepted(fmt, version=version)


@pytest.mark.parametrize(
    ("fmt", "fields"),
    [
        (DEB, {"name": "libstdc++6", "version": "2:1.0~rc1+b2-3.1"}),
        (DEB, {"name": "a0", "version": "1.0"}),
        (DEB, {"version": "1:2:3-4-5"}),
        (RPM, {"name": "python3.13-Foo_bar", "version": "1.0~rc1^git-1.el9"}),
        (RPM, {"name": "_x", "version": "4294967295:1-1"}),
    ],
)
def test_odd_and_right(fmt: PackageFormat, fields: dict[str, str]) -> None:
    assert is_accepted(fmt, **fields)


def test_the_file_name_is_the_formats_own_and_has_no_epoch() -> None:
    deb = Identity(fmt=DEB, name="app", version="2:1.0-1", arch="amd64")
    rpm = Identity(fmt=RPM, name="app", version="2:1.0-1", arch="noarch")
    assert (deb.file_name, deb.epoch) == ("app_1.0-1_amd64.deb", 2)
    assert (rpm.file_name, rpm.epoch) == ("app-1.0-1.noarch.rpm", 2)


def test_every_problem_is_in_the_message_and_none_is_printed_raw() -> None:
    with pytest.raises(PayloadError, match=r"its name '\.\./x' .*; its version 'a\\n' ") as caught:
        Identity(fmt=DEB, name="../x", version="a\n", arch="amd64")
    assert "\n" not in caught.value.message
