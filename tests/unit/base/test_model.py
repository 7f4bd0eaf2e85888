"""How each format spells versions, architectures, file names and relations."""

from fnmatch import fnmatch

import pytest

from builder.base.model import Arch, PackageFormat, full_version

DEB, RPM = PackageFormat.DEB, PackageFormat.RPM


@pytest.mark.parametrize(
    ("fmt", "arch", "file"),
    [
        (DEB, Arch.AMD64, "tool_1.0~rc1-2_amd64.deb"),
        (RPM, Arch.ARM64, "tool-1.0~rc1-2.aarch64.rpm"),
        (DEB, None, "tool_1.0~rc1-2_all.deb"),
        (RPM, None, "tool-1.0~rc1-2.noarch.rpm"),
    ],
)
def test_files_are_named_by_each_formats_convention(
    fmt: PackageFormat, arch: Arch | None, file: str
) -> None:
    assert fmt.file_name("tool", full_version("1.0~rc1", 2), fmt.arch_name(arch)) == file


def test_relations_are_spelled_by_each_format() -> None:
    assert DEB.relation("tool", ">=", "1.0-1") == "tool (>= 1.0-1)"
    assert RPM.relation("tool", ">=", "1.0-1") == "tool >= 1.0-1"


@pytest.mark.parametrize("fmt", PackageFormat)
def test_a_pattern_fits_every_file_of_a_package_and_no_other(fmt: PackageFormat) -> None:
    for arch in (*Arch, None):
        assert fnmatch(
            fmt.file_name("tool", "1.0-1", fmt.arch_name(arch)), fmt.file_pattern("tool")
        )
        assert not fnmatch(
            fmt.file_name("tool-box", "1.0-1", fmt.arch_name(arch)), fmt.file_pattern("tool")
        )
