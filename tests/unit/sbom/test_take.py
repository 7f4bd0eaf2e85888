"""The inventory of wheels and of CPython: what their trees say, and nothing guessed."""

import json
import sys
from email.message import Message
from email.parser import HeaderParser
from pathlib import Path

import pytest

from builder.base.files import hash_file
from builder.base.model import Arch, host_arch
from builder.sbom.graph import requirement_graph
from builder.sbom.licences import licence_of
from builder.sbom.model import LicenceFacts, Part, PartKind
from builder.sbom.runtime import library_facts, runtime_part, upstream_version
from builder.sbom.wheels import read_metadata, wheel_part
from tests.helpers.parts import SITE, unpacked, write_tree
from tests.helpers.wheelhouse import Recipe
from tests.unit.sbom.runtimes import PREFIX, runtime_at

BSD3 = "Neither the name of the author nor ... may be used to endorse or promote products"


TWO_LICENCES = """\
Classifier: License :: OSI Approved :: MIT License
Classifier: License :: OSI Approved :: Apache Software License
"""


def part_of(recipe: Recipe, folder: Path, metadata: str = "") -> Part:
    wheel = unpacked(recipe, folder, metadata)
    return wheel_part(wheel, read_metadata(wheel), PREFIX)


def test_a_wheel_is_named_as_the_index_names_it(tmp_path: Path) -> None:
    part = part_of(Recipe(name="Some.Tool"), tmp_path, "License-Expression: MIT\n")
    assert (part.name, part.ref) == ("some-tool", "wheel:some-tool")
    assert (part.purl, part.sha256) == ("pkg:pypi/some-tool@1.0", "ab" * 32)
    assert licence_of(part) == "MIT"


def test_bundled_libraries_are_listed_by_file(tmp_path: Path) -> None:
    files = {
        "own.libs/libzmq-56587b1b.so.5.2.5": b"zmq",
        "own.libs/libelf-0-61754c0b.191.so": b"elf",
        "own.libs/odd.bin": b"odd",
    }
    part = part_of(Recipe(name="own", files=files), tmp_path)
    found = {inner.name: inner for inner in part.parts}
    assert {name: inner.version for name, inner in found.items()} == {
        "libzmq": "5.2.5",
        "libelf-0": "191",
        "odd.bin": "",
    }
    path = tmp_path / "own" / SITE / "own.libs/odd.bin"
    assert found["odd.bin"].sha256 == hash_file(path)
    assert {inner.kind for inner in part.parts} == {PartKind.FILE}


def test_a_wheels_own_sboms_are_read_once_and_damaged_ones_skipped(tmp_path: Path) -> None:
    crate = {
        "name": "ring",
        "version": "0.17",
        "purl": "pkg:cargo/ring@0.17?download_url=file://x",
        "licenses": [{"license": {"id": "ISC"}}, {"expression": "MIT OR Apache-2.0"}],
        "hashes": [{"alg": "MD5", "content": "0"}, {"alg": "SHA-256", "content": "cd" * 32}],
        "components": [{"name": "inner", "version": "1"}],
    }
    own = {"name": "own", "purl": "pkg:pypi/own@1.0"}
    document = {"bomFormat": "CycloneDX", "components": [crate, crate, own, {"version": "1"}, 3]}
    info = "own-1.0.dist-info/sboms"
    files = {
        f"{info}/a.cyclonedx.json": json.dumps(document).encode(),
        f"{info}/b.json": b"{not json",
        f"{info}/c.json": b'{"spdxVersion": "SPDX-2.3"}',
    }
    ring, inner = part_of(Recipe(name="own", files=files), tmp_path).parts
    assert (ring.purl, ring.sha256) == ("pkg:cargo/ring@0.17", "cd" * 32)
    assert licence_of(ring) == "ISC AND (MIT OR Apache-2.0)"
    assert (inner.name, inner.ref) == ("inner", "wheel:own/inner@1")


def test_javascript_is_found_by_source_maps(tmp_path: Path) -> None:
    store = "../store/v11/links"
    digest = "0" * 64
    sources = [
        f"{store}/@/react/18.3.1/{digest}/node_modules/react/index.js",
        f"{store}/@scope/ui/2.0.0/{digest}/node_modules/@scope/ui/a.js",
        "../node_modules/.pnpm/@babel+runtime@7.1.0_peer@1/node_modules/@babel/runtime/a.js",
        "../../src/own.tsx",
    ]
    files = {
        "web/static/version.json": b'{"package": "26.9.4"}',
        "web/static/assets/a.js.map": json.dumps({"sources": sources}).encode(),
        "web/static/assets/b.js.map": json.dumps({"sources": sources[:1]}).encode(),
    }
    (web,) = part_of(Recipe(name="own", files=files), tmp_path).parts
    assert web.purl == "pkg:github/lablup/backend.ai-webui@v26.9.4"
    assert [part.purl for part in web.parts] == [
        "pkg:npm/%40babel/runtime@7.1.0",
        "pkg:npm/%40scope/ui@2.0.0",
        "pkg:npm/react@18.3.1",
    ]


@pytest.mark.parametrize(
    ("metadata", "expression"),
    [
        ("License-Expression: Apache-2.0 AND MIT\nLicense: nonsense\n", "Apache-2.0 AND MIT"),
        ("License: Apache License, Version 2.0\n", "Apache-2.0"),
        ("License: BSD-3-Clause\n", "BSD-3-Clause"),
        ("License: GPL-3.0-or-later\n", "GPL-3.0-or-later"),
        ("Classifier: License :: OSI Approved :: MIT License\n", "MIT"),
        (
            TWO_LICENCES,
            "Apache-2.0 AND MIT",
        ),
        ("License: BSD\n", "LicenseRef-BSD"),
        ("License: Proprietary\n", "LicenseRef-Proprietary"),
        ("License: UNKNOWN\n", ""),
        ("License: do what you like\n", ""),
        ("Classifier: Programming Language :: Python\n", ""),
    ],
)
def test_licences_of_metadata(tmp_path: Path, metadata: str, expression: str) -> None:
    assert licence_of(part_of(Recipe(name="own"), tmp_path, metadata)) == expression


@pytest.mark.parametrize(("text", "expression"), [(BSD3, "BSD-3-Clause"), ("", "BSD-2-Clause")])
def test_the_text_says_which_bsd_licence_it_is(tmp_path: Path, text: str, expression: str) -> None:
    files = {"own.py": b"", "own-1.0.dist-info/licenses/LICENSE": text.encode()}
    part = part_of(
        Recipe(name="own", files=files), tmp_path, "Classifier: License :: X :: BSD License\n"
    )
    assert licence_of(part) == expression
    assert part.licence.files == (f"{PREFIX}/{SITE}/own-1.0.dist-info/licenses/LICENSE",)


def test_a_correction_precedes_what_the_metadata_says() -> None:
    part = Part(
        ref="w", kind=PartKind.WHEEL, name="pyhumps", licence=LicenceFacts(expression="MIT")
    )
    assert licence_of(part) == "Unlicense"


def message(*lines: str) -> Message:
    return HeaderParser().parsestr("".join(f"Requires-Dist: {line}\n" for line in lines))


def test_the_graph_knows_markers_extras_and_unreadable_lines() -> None:
    metadata = {
        "app": message(
            "Lib[fast]>=1", "old; python_version < '3.9'", "win; sys_platform == 'win32'", "???"
        ),
        "lib": message(
            "speed; extra == 'fast'", "docs; extra == 'docs'", "arm; platform_machine=='aarch64'"
        ),
        "speed": message(),
    }
    graph = requirement_graph(metadata, minor="3.13", machine="x86_64")
    assert graph == {"app": ("lib",), "lib": ("speed",), "speed": ()}
    arm = requirement_graph(metadata, minor="3.13", machine="aarch64")
    assert arm["lib"] == ("arm", "speed")


BUNDLED = (
    "# soname\tpackage\tversion\n"
    "libcrypto.so.3\tlibssl3\t3.0.19-1~deb12u2\n"
    "libssl.so.3\tlibssl3\t3.0.19-1~deb12u2\n"
    "libz.so.1\tzlib1g\t1:1.2.13.dfsg-1\n"
    "libown.so.1\t/opt/own/libown.so.1\t-\n"
)


def test_the_libraries_of_a_cpython_come_from_its_table(tmp_path: Path) -> None:
    text = "Files: *\nCopyright: 1998-2023 The Project\n"
    write_tree(
        tmp_path,
        {"share/licenses/bundled.txt": BUNDLED, "share/licenses/libssl3/copyright": text},
    )
    other = next(arch for arch in Arch if arch is not host_arch())
    part = runtime_part(runtime_at(tmp_path, tmp_path / "bin/python3", other), PREFIX)
    assert part is not None
    assert part.cpe == "cpe:2.3:a:python:python:3.13.15:*:*:*:*:*:*:*"
    found = {inner.name: inner for inner in part.parts}
    assert set(found) == {"openssl", "zlib", "/opt/own/libown.so.1"}
    assert found["openssl"].purl == (
        f"pkg:deb/debian/libssl3@3.0.19-1~deb12u2?arch={other.value}&distro=debian-12"
    )
    assert found["openssl"].file == "libcrypto.so.3, libssl.so.3"
    assert found["openssl"].licence.files == (f"{PREFIX}/share/licenses/libssl3/copyright",)
    assert found["openssl"].licence.holders == ("1998-2023 The Project",)
    assert found["openssl"].places == (
        "opt/backendai/own/lib/libcrypto.so.3",
        "opt/backendai/own/lib/libssl.so.3",
    )
    assert found["zlib"].cpe == "cpe:2.3:a:zlib:zlib:1.2.13:*:*:*:*:*:*:*"
    assert found["/opt/own/libown.so.1"].purl == ""


def test_the_distributions_python_is_not_in_the_package() -> None:
    assert runtime_part(runtime_at(None, Path(sys.executable)), PREFIX) is None


@pytest.mark.parametrize(
    ("version", "upstream"),
    [
        ("3.0.19-1~deb12u2", "3.0.19"),
        ("1:1.2.13.dfsg-1", "1.2.13"),
        ("1.1.1k-14.el8_10", "1.1.1k"),
        ("-", "-"),
    ],
)
def test_upstream_versions(version: str, upstream: str) -> None:
    assert upstream_version(version) == upstream


def test_each_library_of_cpython_is_known_by_one_row() -> None:
    names = ["libssl3t64", "libsqlite3-0", "liblzma5", "libncursesw6", "libtinfo6", "libuuid1"]
    for name in [*names, "openssl-libs", "xz-libs", "libreadline8"]:
        assert len([facts for facts in library_facts() if facts.matches(name)]) == 1, name
