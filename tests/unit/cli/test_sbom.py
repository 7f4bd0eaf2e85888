"""``builder sbom``: the document out of a deb or an rpm, in both forms."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from builder.base.errors import ExitCode
from builder.cli import main
from builder.sbom.cyclonedx import render_cyclonedx
from tests.helpers.package_files import DebFile, Payload, RpmFile
from tests.helpers.parts import example_inventory, example_subject

SBOM = render_cyclonedx(example_inventory(), example_subject())
CONTROL = (
    "Package: example\nVersion: 1.0-2\nArchitecture: amd64\n"
    "Maintainer: A <a@example.org>\nDescription: an example\n"
)


def write_packages(folder: Path, content: bytes | None) -> dict[str, Path]:
    path = "/usr/share/doc/example/sbom.cdx.json"
    payload = [Payload(path=path, content=content)] if content is not None else []
    payload.append(Payload(path="/usr/share/doc/other/sbom.cdx.json", content=b"{}"))
    built = {
        "example.deb": DebFile(control=CONTROL, payload=payload).build(),
        "example.rpm": RpmFile(name="example", version="1.0", payload=payload).build(),
    }
    for name, data in built.items():
        (folder / name).write_bytes(data)
    return {name: folder / name for name in built}


def invoke(*words: object) -> Result:
    return CliRunner().invoke(main, ["sbom", *map(str, words)])


@pytest.mark.parametrize("name", ["example.deb", "example.rpm"])
def test_the_document_is_printed_as_it_is_in_the_package(tmp_path: Path, name: str) -> None:
    path = write_packages(tmp_path, SBOM)[name]
    done = invoke(path)
    assert done.exit_code == 0
    assert done.stdout_bytes == SBOM


def test_several_packages_need_a_folder(tmp_path: Path) -> None:
    paths = write_packages(tmp_path, SBOM).values()
    done = invoke(*paths, "--format", "spdx")
    assert done.exit_code == ExitCode.USAGE
    assert "--out" in done.output
    done = invoke(*paths, "--format", "spdx", "--out", tmp_path / "out")
    assert done.exit_code == 0
    written = sorted((tmp_path / "out").iterdir())
    assert [path.name for path in written] == ["example.deb.spdx.json", "example.rpm.spdx.json"]
    assert {json.loads(path.read_text())["spdxVersion"] for path in written} == {"SPDX-2.3"}


@pytest.mark.parametrize(
    ("content", "words", "text"),
    [
        (None, (), "has no sbom.cdx.json"),
        (b"{not json", (), "sbom.cdx.json in it is"),
        (b"[]", (), "is not a JSON object"),
        (b'{"metadata": {}}', ("--format", "spdx"), "lacks what SPDX asks for: 'component'"),
    ],
)
def test_a_package_without_a_whole_document_is_refused(
    tmp_path: Path, content: bytes | None, words: tuple[str, ...], text: str
) -> None:
    done = invoke(write_packages(tmp_path, content)["example.deb"], *words)
    assert done.exit_code == ExitCode.PAYLOAD
    assert text in done.output
    assert "Traceback" not in done.output
