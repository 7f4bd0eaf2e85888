"""Control paragraphs as dpkg reads them, whatever Python takes for a line's end."""

import shutil
from pathlib import Path

import pytest

from builder.base.run import run
from builder.inspect.deb822 import parse_fields
from builder.inspect.debfile import read_deb
from tests.helpers.package_files import DebFile, Payload
from tests.unit.inspect.control import HEAD, SIGNS


@pytest.mark.parametrize("sign", SIGNS)
def test_dpkg_reads_the_same(sign: str, tmp_path: Path) -> None:
    if shutil.which("dpkg-deb") is None:
        pytest.skip("needs dpkg-deb")
    path = tmp_path / "odd.deb"
    control = f"{HEAD}Description: a{sign}b\n more{sign}\nDepends: libc6\n"
    path.write_bytes(DebFile(control=control, payload=[Payload(path="/usr/share/x")]).build())
    contents = read_deb(path, lambda _path: False)
    for name in ("Depends", "Description", "Version"):
        said = run(["dpkg-deb", "--field", str(path), name], check=False).stdout
        expected = "\n".join(line.removeprefix(" ") for line in said.rstrip("\n").split("\n"))
        found = parse_fields(contents.control)[name.lower()]
        # A program's output is read as text, where a carriage return ends a line.
        assert found.replace("\r", "\n") == expected.rstrip(" \t\r\f\v")
