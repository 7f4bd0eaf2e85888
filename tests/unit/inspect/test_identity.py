"""Names, versions and architectures against the programs that define them."""

import random
import shutil

import pytest

from builder.base.errors import PayloadError
from builder.base.model import PackageFormat
from builder.base.run import run
from builder.inspect.identity import Identity

DEB, RPM = PackageFormat.DEB, PackageFormat.RPM
_ALPHABET = "aZ09.+-~:_^/ \n\x00é%"


def is_accepted(fmt: PackageFormat, **fields: str) -> bool:
    given = {"name": "app", "version": "1.0-1", "arch": "x86_64" if fmt is RPM else "amd64"}
    try:
        Identity(fmt=fmt, **{**given, **fields})
    except PayloadError:
        return False
    return True


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


@pytest.mark.parametrize(
    ("option", "field"), [("--validate-version", "version"), ("--validate-pkgname", "name")]
)
def test_dpkg_accepts_what_is_accepted(option: str, field: str) -> None:
    dpkg = shutil.which("dpkg")
    if dpkg is None:
        pytest.skip("needs dpkg")
    chance = random.Random(f"{option} 20261125")
    texts = {"".join(chance.choices(_ALPHABET, k=chance.randint(1, 6))) for _ in range(250)}
    accepted = [text for text in sorted(texts) if is_accepted(DEB, **{field: text})]
    assert accepted
    for text in accepted:
        result = run([dpkg, option, text], check=False)
        assert result.status == 0, (text, result.stderr)
    refused = [text for text in sorted(texts) if text not in accepted and "\0" not in text]
    only_dpkg = [
        text
        for text in refused
        if text.strip() and run([dpkg, option, text], check=False).status == 0
    ]
    # dpkg takes names that dpkg-deb would not build, and versions that it warns of.
    assert all(
        any(sign.isupper() or sign == "_" for sign in text)
        or len(text) == 1
        or (field == "version" and not text[0].isdigit())
        or text != text.strip()
        for text in only_dpkg
    ), only_dpkg
