"""The hash of a package without its signatures."""

import hashlib
from pathlib import Path

import pytest

from builder.base.errors import PayloadError, UsageError
from builder.inspect.content import content_digest
from tests.helpers.package_files import DebFile, Payload, RpmFile, make_header

CONTROL = "Package: a\nVersion: 1\nArchitecture: all\nMaintainer: A\nDescription: a\n"
PAYLOAD = [Payload(path="/usr/share/a", content=b"odd")]


def write(tmp_path: Path, data: bytes) -> Path:
    path = tmp_path / "package"
    path.write_bytes(data)
    return path


def test_a_debs_is_that_of_the_deb_as_it_was_built(tmp_path: Path) -> None:
    built = DebFile(control=CONTROL, payload=PAYLOAD).build()
    expected = hashlib.sha256(built).hexdigest()
    assert content_digest(write(tmp_path, built)) == expected
    member = f"{'_gpgorigin':16}{0:<12}{0:<6}{0:<6}{'100644':8}{4:<10}`\n".encode() + b"sign"
    assert content_digest(write(tmp_path, built + member)) == expected
    other = DebFile(control=CONTROL, payload=[Payload(path="/usr/share/a", content=b"new")]).build()
    assert content_digest(write(tmp_path, other)) != expected


def test_an_rpms_leaves_the_signature_header_out(tmp_path: Path) -> None:
    def build(signed: bytes) -> bytes:
        plain = RpmFile(name="a", version="1", payload=PAYLOAD, digests=False).build()
        empty = make_header({})
        assert plain[96 : 96 + len(empty)] == empty
        body = plain[96 + len(empty) + -len(empty) % 8 :]
        header = make_header({273: (6, signed.decode())})
        return plain[:96] + header + bytes(-len(header) % 8) + body

    digests = {content_digest(write(tmp_path, build(sign))) for sign in (b"a", b"another one")}
    assert len(digests) == 1
    changed = build(b"a")[:-1] + b"!"
    assert content_digest(write(tmp_path, changed)) not in digests


@pytest.mark.parametrize(
    ("data", "error"),
    [
        (b"", UsageError),
        (b"no package", UsageError),
        (b"!<arch>\ndebian", PayloadError),
        (b"!<arch>\n", PayloadError),
        (b"\xed\xab\xee\xdb" + bytes(20), PayloadError),
    ],
)
def test_what_is_no_package_or_cut_off_is_refused(
    tmp_path: Path, data: bytes, error: type[Exception]
) -> None:
    with pytest.raises(error):
        content_digest(write(tmp_path, data))
    with pytest.raises(UsageError, match="cannot read"):
        content_digest(tmp_path / "absent")
