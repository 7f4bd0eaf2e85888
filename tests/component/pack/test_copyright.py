"""The copyright file: read back by a parser of Debian's format, and true to the inventory."""

from dataclasses import replace
from pathlib import Path, PurePosixPath

import pytest

from builder.base.model import PackageFormat
from builder.inspect.deb822 import parse_fields
from builder.pack.copyright import licence_files, package_licence, render_copyright
from builder.pack.documents import documents_key, write_documents
from builder.pack.nfpm import Compression
from builder.pack.packing import PackRequest
from builder.plan import PackagePlan
from builder.sbom.model import Inventory, LicenceFacts, Part, PartKind
from tests.helpers.fakenfpm import FakeNfpm
from tests.helpers.specs import load_example, plan_example

TEXT = "/opt/x/mine-1.0.dist-info/LICENSE"


def part(name: str, licence: LicenceFacts, *places: str, parts: tuple[Part, ...] = ()) -> Part:
    return Part(
        ref=f"wheel:{name}",
        kind=PartKind.WHEEL,
        name=name,
        version="1.0",
        licence=licence,
        places=places,
        parts=parts,
    )


CRATE = Part(
    ref="crate", kind=PartKind.LIBRARY, name="crate", licence=LicenceFacts(expression="ISC")
)
INVENTORY = Inventory(
    parts=(
        part(
            "mine",
            LicenceFacts(
                expression="MIT OR Apache-2.0", files=(TEXT,), holders=("2020 A", "2021 B")
            ),
            "opt/x/mine/*",
            "opt/x/mine-1.0.dist-info/*",
            parts=(CRATE,),
        ),
        part("bare", LicenceFacts(text="MIT"), "opt/x/bare.py"),
        part("lesser", LicenceFacts(expression="LGPL-3.0-or-later"), "opt/x/lesser.py"),
        part("mute", LicenceFacts(), "opt/x/mute.py"),
    ),
    requires=("wheel:mine",),
)


@pytest.fixture
def plan(tmp_path: Path) -> PackagePlan:
    return plan_example(load_example(tmp_path))


def paragraphs(plan: PackagePlan, inventory: Inventory = INVENTORY) -> list[dict[str, str]]:
    text = render_copyright(inventory, plan.metadata).decode()
    assert "\n\n\n" not in text
    return [dict(parse_fields(paragraph)) for paragraph in text.split("\n\n")]


def test_each_part_has_a_paragraph_and_each_licence_one(plan: PackagePlan) -> None:
    found = paragraphs(plan)
    files = {row["files"].split()[0]: row for row in found if "files" in row}
    assert set(files) == {"*", "opt/x/mine/*", "opt/x/bare.py", "opt/x/lesser.py", "opt/x/mute.py"}
    mine = files["opt/x/mine/*"]
    assert mine["files"].split() == ["opt/x/mine/*", "opt/x/mine-1.0.dist-info/*"]
    assert mine["license"] == "MIT or Apache-2.0"
    assert [line.strip() for line in mine["copyright"].split("\n") if line.strip()] == [
        "2020 A",
        "2021 B",
    ]
    assert TEXT in mine["comment"]
    assert files["opt/x/mute.py"]["license"] == "LicenseRef-unknown"
    standalone = {row["license"].partition("\n")[0] for row in found if set(row) == {"license"}}
    used = {
        name
        for row in files.values()
        for name in row["license"].replace(" or ", " and ").split(" and ")
    }
    assert standalone == used


def test_a_text_is_there_once_or_its_place_is_named(plan: PackagePlan) -> None:
    texts = {
        row["license"].partition("\n")[0]: row["license"].partition("\n")[2]
        for row in paragraphs(plan)
        if set(row) == {"license"}
    }
    assert texts["MIT"].count("Permission is hereby granted") == 1
    assert "/usr/share/common-licenses/LGPL-3" in texts["LGPL-3.0-or-later"]
    assert "Nothing in the part says" in texts["LicenseRef-unknown"]
    only_mine = replace(INVENTORY, parts=INVENTORY.parts[:1])
    (mit,) = [
        row["license"]
        for row in paragraphs(plan, only_mine)
        if row.get("license", "").startswith("MIT\n")
    ]
    assert "Permission" not in mit
    assert "the comments of its parts name" in mit


def test_the_licence_of_the_package_is_that_of_all_parts(plan: PackagePlan) -> None:
    assert package_licence(INVENTORY, "Apache-2.0") == (
        "Apache-2.0 AND ISC AND LGPL-3.0-or-later AND MIT"
    )
    assert package_licence(Inventory(), "Apache-2.0") == "Apache-2.0"
    assert paragraphs(plan)[0]["license"] == "Apache-2.0 and ISC and LGPL-3.0-or-later and MIT"


def test_an_rpm_brings_the_texts_that_its_parts_lack(plan: PackagePlan, tmp_path: Path) -> None:
    names = [path.stem for path in licence_files(INVENTORY, "Apache-2.0")]
    assert names == ["Apache-2.0", "LGPL-3.0", "MIT"]
    nfpm = FakeNfpm(tmp_path / "nfpm").path
    request = PackRequest(fmt=PackageFormat.RPM, depends=(), epoch=1, compression=Compression.ZSTD)
    made = write_documents(plan, INVENTORY, request, nfpm, tmp_path)
    home = PurePosixPath("/usr/share/licenses/example-service")
    assert set(made.files) == {
        PurePosixPath("/usr/share/doc/example-service/sbom.cdx.json"),
        *(home / name for name in ("COPYING", *names)),
    }
    deb = write_documents(plan, INVENTORY, replace(request, fmt=PackageFormat.DEB), nfpm, tmp_path)
    assert PurePosixPath("/usr/share/doc/example-service/copyright") in deb.files
    assert len(deb.files) == 2


def test_other_texts_make_other_packages() -> None:
    digests = [word for word in documents_key() if isinstance(word, str)]
    assert len(digests) == len(set(digests)) == 6  # rules, template, four texts
