"""The documents: valid by their schemas, read back by others, the same bytes each time."""

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from cyclonedx.model.bom import Bom
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
from spdx_tools.spdx.parser.parse_anything import parse_file
from spdx_tools.spdx.validation.document_validator import validate_full_spdx_document

from builder.base.model import PackageFormat
from builder.base.paths import PROJECT
from builder.sbom.cyclonedx import render_cyclonedx
from builder.sbom.model import Inventory, LicenceFacts, load_inventory, save_inventory
from builder.sbom.spdx import render_spdx
from tests.helpers.parts import example_inventory, example_subject

# The readers of others warn of their own libraries.
pytestmark = pytest.mark.filterwarnings("ignore")


def rendered(fmt: PackageFormat = PackageFormat.DEB) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(
        render_cyclonedx(example_inventory(), example_subject(fmt))
    )
    return document


def by_ref(components: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    found = {}
    for component in components:
        found[component["bom-ref"]] = component
        found |= by_ref(component.get("components", []))
    return found


@pytest.mark.parametrize("inventory", [example_inventory(), Inventory()])
def test_the_document_is_valid_by_its_schema_and_is_read_back(inventory: Inventory) -> None:
    text = render_cyclonedx(inventory, example_subject()).decode()
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(text) is None
    bom = Bom.from_json(json.loads(text))  # type: ignore[attr-defined]
    assert bom.metadata.component.name == "example"
    assert {component.name for component in bom.components} == {
        part.name for part in inventory.parts
    }


def test_parts_have_their_versions_hashes_licences_and_addresses() -> None:
    found = by_ref(rendered()["components"])
    openssl = found["runtime:cpython/libssl3"]
    assert openssl["cpe"] == "cpe:2.3:a:openssl:openssl:3.0.19:*:*:*:*:*:*:*"
    assert openssl["purl"].startswith("pkg:deb/debian/libssl3@3.0.19-1~deb12u2")
    assert found["wheel:one"]["hashes"] == [{"alg": "SHA-256", "content": "cd" * 32}]
    assert found["wheel:one"]["licenses"] == [{"expression": "MIT"}]
    assert found["wheel:two"]["licenses"] == [{"expression": "LicenseRef-Proprietary"}]
    assert found["wheel:two/libz.so.1"]["type"] == "file"
    (reference,) = found["runtime:cpython"]["externalReferences"]
    assert reference == {"type": "distribution", "url": "https://example.org/Python-3.13.15.tar.xz"}


@pytest.mark.parametrize(
    ("fmt", "purl"),
    [
        (PackageFormat.DEB, "pkg:deb/backendai/example@1.0-2?arch=amd64"),
        (PackageFormat.RPM, "pkg:rpm/backendai/example@1.0-2?arch=amd64"),
    ],
)
def test_the_package_and_its_tools_are_named(fmt: PackageFormat, purl: str) -> None:
    metadata = rendered(fmt)["metadata"]
    assert metadata["component"]["purl"] == purl
    tools = {tool["name"]: tool["version"] for tool in metadata["tools"]["components"]}
    assert tools == {"backendai-builder": "0.1.0", "nfpm": "2.48.0"}
    assert metadata["timestamp"] == "2026-01-02T00:00:00+00:00"
    below = by_ref(rendered(fmt)["components"])["package:below"]
    assert below["purl"] == f"pkg:{fmt.value}/backendai/below"


def test_the_graph_names_only_what_is_in_the_document() -> None:
    document = rendered()
    graph = {row["ref"]: row.get("dependsOn", []) for row in document["dependencies"]}
    assert graph["package"] == ["runtime:cpython", "wheel:one"]
    assert graph["wheel:one"] == ["package:below", "wheel:two"]
    known = {"package", *by_ref(document["components"])}
    assert set(graph) == known
    assert {ref for refs in graph.values() for ref in refs} <= known


def test_another_process_writes_the_same_bytes(tmp_path: Path) -> None:
    code = (
        "import sys; from builder.sbom.cyclonedx import render_cyclonedx as render;"
        "from tests.helpers.parts import example_inventory, example_subject;"
        "sys.stdout.buffer.write(render(example_inventory(), example_subject()))"
    )
    texts = {
        subprocess.run(  # noqa: TID251
            [sys.executable, "-c", code],
            check=True,
            capture_output=True,
            cwd=PROJECT,
            env={"PYTHONHASHSEED": seed, "TZ": zone, "HOME": str(tmp_path), "LC_ALL": locale},
        ).stdout
        for seed, zone, locale in (("1", "Asia/Seoul", "C"), ("2", "America/Lima", "C.UTF-8"))
    }
    assert texts == {render_cyclonedx(example_inventory(), example_subject())}


def test_the_serial_number_follows_the_content() -> None:
    subject = example_subject()
    numbers = {
        json.loads(render_cyclonedx(inventory, given))["serialNumber"]
        for inventory, given in (
            (example_inventory(), subject),
            (example_inventory(), replace(subject, version="1.0-3")),
            (Inventory(), subject),
        )
    }
    assert len(numbers) == 3


def test_another_word_for_the_same_licence_is_the_same_document() -> None:
    inventory = example_inventory()
    parts = [
        replace(part, licence=LicenceFacts(text="mit licence")) if part.name == "one" else part
        for part in inventory.parts
    ]
    other = replace(inventory, parts=tuple(parts))
    assert render_cyclonedx(other, example_subject()) == render_cyclonedx(
        inventory, example_subject()
    )


def test_spdx_is_valid_and_says_the_same(tmp_path: Path) -> None:
    path = tmp_path / "example.spdx.json"
    path.write_bytes(render_spdx(rendered()))
    document = parse_file(str(path))
    assert validate_full_spdx_document(document) == []
    packages = {package.name: package for package in document.packages}
    assert set(packages) == {"example", "CPython", "openssl", "one", "two", "libz", "below"}
    assert str(packages["one"].license_declared) == "MIT"
    assert [checksum.value for checksum in packages["two"].checksums] == ["ef" * 32]
    kinds = {str(relation.relationship_type.name) for relation in document.relationships}
    assert kinds == {"DESCRIBES", "CONTAINS", "DEPENDS_ON"}
    assert path.read_bytes() == render_spdx(rendered())


def test_an_inventory_is_read_as_it_was_written(tmp_path: Path) -> None:
    save_inventory(example_inventory(), tmp_path)
    assert load_inventory(tmp_path) == example_inventory()
