"""What a deb says in an index, and its signature."""

from pathlib import Path

import pytest

from builder.base.errors import PayloadError, UsageError
from builder.base.model import PackageFormat
from builder.inspect import inspect_package
from builder.inspect.debfile import ar_members
from builder.inspect.streams import DamagedError
from builder.repo.deb_package import ORIGIN_SIGNATURE, control_paragraph, read_deb_package, sign_deb
from builder.repo.gpg import Gpg, private_home
from builder.repo.model import DebRecord
from builder.repo.sign import Signer
from tests.helpers.package_files import make_ar
from tests.helpers.repos import DebPackage


def _member(path: Path, name: str) -> bytes:
    with path.open("rb") as file:
        for member in ar_members(file, path.stat().st_size):
            if member.name == name:
                file.seek(member.start)
                return file.read(member.size)
    raise AssertionError(f"no member {name}")


def test_a_deb_is_read_once_and_whole(tmp_path: Path) -> None:
    path = DebPackage(paths=["/usr/bin/tool", "/etc/tool.conf"]).write(tmp_path)
    reading = read_deb_package(path)
    assert (reading.fmt, reading.name, reading.version) == (PackageFormat.DEB, "tool", "1.0-1")
    assert reading.arch == "amd64"
    assert reading.listing == b"etc/tool.conf\nusr/bin/tool"
    assert isinstance(reading.record, DebRecord)
    assert reading.record.control.startswith("Package: tool\nVersion: 1.0-1\n")
    assert reading.record.control.endswith("Description: a tool\n for nobody\n")
    damaged = bytearray(path.read_bytes())
    damaged[-20] ^= 1
    path.write_bytes(damaged)
    with pytest.raises(PayloadError, match="damaged"):
        read_deb_package(path)
    with pytest.raises(UsageError, match="cannot read"):
        read_deb_package(tmp_path / "absent.deb")


def test_a_paragraph_cannot_speak_for_the_index_or_begin_another() -> None:
    control = (
        "\nPackage: tool\nFilename: /etc/passwd\n continued\nSize: 1\nsha256: 0\n"
        "Description: a tool\n .\n more  \n\n"
    )
    assert control_paragraph(control) == "Package: tool\nDescription: a tool\n .\n more\n"
    with pytest.raises(DamagedError, match="more behind it: 'Package: other'"):
        control_paragraph(control + "Package: other\n")


def test_a_signature_is_of_the_three_members_and_replaces_another(
    tmp_path: Path, signer: Signer
) -> None:
    path = DebPackage(content="odd").write(tmp_path)
    before = inspect_package(path)
    names: list[str] = []
    for _ in range(2):
        sign_deb(path, signer)
        with path.open("rb") as file:
            names = [member.name for member in ar_members(file, path.stat().st_size)]
        assert names == ["debian-binary", "control.tar.gz", "data.tar.zst", ORIGIN_SIGNATURE]
    assert inspect_package(path).contents == before.contents
    signature, data = tmp_path / "signature", tmp_path / "data"
    signature.write_bytes(_member(path, ORIGIN_SIGNATURE))
    data.write_bytes(b"".join(_member(path, name) for name in names[:3]))
    with private_home() as home:
        gpg = Gpg(home)
        gpg.import_keys(signer.public_keys(armor=True).decode())
        (verdict,) = gpg.verify(signature, data)
        assert (verdict.problem, verdict.key) == (None, signer.keys[0].fingerprint)
        data.write_bytes(data.read_bytes() + b"!")
        (verdict,) = gpg.verify(signature, data)
        assert verdict.problem == "does not fit what it signs"


def test_an_archive_of_other_members_is_not_signed(tmp_path: Path, signer: Signer) -> None:
    path = tmp_path / "odd.deb"
    path.write_bytes(make_ar([("debian-binary", b"2.0\n"), ("data.tar", b"")]))
    with pytest.raises(PayloadError, match=r"has the members debian-binary, data\.tar"):
        sign_deb(path, signer)
