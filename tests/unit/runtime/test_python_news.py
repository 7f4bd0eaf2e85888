"""The security fixes in CPython's own news."""

import io
import tarfile
from pathlib import Path

import pytest

from builder.base.errors import PayloadError
from builder.runtime.python_news import SecurityFix, read_news, security_fixes

NEWS = """\
+++++++++++
Python News
+++++++++++

What's New in Python 3.13.16 final?
===================================

*Release date: 2026-10-06*

macOS
-----

- gh-1: Not about security.

Security
--------

- gh-152216: Update bundled `libexpat <https://libexpat.example/>`_ to
  version 2.8.2 for :cve:`2026-4224`.

- gh-151987: The :meth:`~tarfile.TarFile.extract` method applies ``data``.

  A second paragraph, about CVE-2025-4330.

Library
-------

- gh-2: Security is only named here.


What's New in Python 3.13.15 final?
===================================

Library
-------

- gh-3: Nothing.


What's New in Python 3.13.14?
=============================

Security
--------

- An entry without an issue.


What's New in Python 3.13.0 release candidate 2?
================================================

Security
--------

- gh-4: Before the first release.
"""


def test_fixes_of_newer_releases_are_read_with_their_names() -> None:
    assert security_fixes(NEWS, after="3.13.14") == [
        SecurityFix(
            version="3.13.16",
            issue="gh-152216",
            cves=("CVE-2026-4224",),
            text="Update bundled libexpat to version 2.8.2 for 2026-4224.",
        ),
        SecurityFix(
            version="3.13.16",
            issue="gh-151987",
            cves=("CVE-2025-4330",),
            text="The tarfile.TarFile.extract method applies data."
            " A second paragraph, about CVE-2025-4330.",
        ),
    ]


def test_all_older_ones_follow_and_a_candidate_is_before_its_release() -> None:
    found = security_fixes(NEWS, after="3.13.2")
    assert [fix.version for fix in found] == ["3.13.16", "3.13.16", "3.13.14"]
    assert found[-1].issue == ""
    assert security_fixes(NEWS, after="3.13.16") == []
    assert len(security_fixes(NEWS, after="3.12.0")) == 4


def _tarball(path: Path, **files: str) -> Path:
    with tarfile.open(path, "w:xz") as tar:
        for name, text in files.items():
            member = tarfile.TarInfo(name.replace("__", "/"))
            member.size = len(text.encode())
            tar.addfile(member, io.BytesIO(text.encode()))
    return path


def test_the_news_are_those_of_the_tarball_itself(tmp_path: Path) -> None:
    files = {"Python-3__Doc__Misc__NEWS": "other", "Python-3__Misc__NEWS": NEWS}
    assert read_news(_tarball(tmp_path / "a.tar.xz", **files)) == NEWS


def test_a_tarball_without_news_or_cut_off_is_refused(tmp_path: Path) -> None:
    path = _tarball(tmp_path / "a.tar.xz", README="x")
    with pytest.raises(PayloadError, match="has no Misc/NEWS"):
        read_news(path)
    path.write_bytes(path.read_bytes()[:40])
    with pytest.raises(PayloadError):
        read_news(path)
