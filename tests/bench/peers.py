"""Other tools that make a package of a tree, where they are installed."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from tests.bench.measure import measure

_NOT_INSTALLED = "not installed here"
_SPEC = """\
Name: bench
Version: 1
Release: 1
Summary: bench
License: none
AutoReqProv: no
%define __os_install_post %{{nil}}
%define _build_id_links none
%define debug_package %{{nil}}
%define _binary_payload w3.zstdio
%description
bench
%install
mkdir -p %{{buildroot}}
cp -al {tree}/opt %{{buildroot}}/opt
%files
/opt
"""


def peers(tree: Path, work: Path) -> Iterator[tuple[str, float, str]]:
    """Yield name, seconds and a note of each tool; 0 seconds where it was not measured.

    ``tree`` is that of the manager. dh-virtualenv begins with an environment of its own.
    """
    name = "rpmbuild -bb of the manager's tree, zstd level 3"
    if shutil.which("rpmbuild"):
        spec = work / "bench.spec"
        spec.write_text(_SPEC.format(tree=tree), encoding="utf-8")
        top = f"_topdir {work / 'rpmbuild'}"
        command = ["rpmbuild", "-bb", "--quiet", "--define", top, os.fspath(spec)]
        yield name, measure(command).seconds, ""
    else:
        yield name, 0.0, _NOT_INSTALLED
    if shutil.which("dh_virtualenv") is None:
        yield "dh-virtualenv of the manager", 0.0, _NOT_INSTALLED
    else:
        yield "dh-virtualenv of the manager", 0.0, "installed, but it has no offline mode"
