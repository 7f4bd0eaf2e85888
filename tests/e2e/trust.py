"""A home folder whose owner's browser trusts one more authority, as a user's does."""

import shutil
from pathlib import Path

import pytest

from builder.base.run import run


def home_that_trusts(folder: Path, authority: str) -> Path:
    """``folder`` with a database of certificates that has ``authority``, a text in PEM."""
    if shutil.which("certutil") is None:
        pytest.skip("no certutil: apt-get install libnss3-tools")
    database = folder / ".pki/nssdb"
    database.mkdir(parents=True)
    file = folder / "ca.pem"
    file.write_text(authority)
    where = ["-d", f"sql:{database}"]
    run(["certutil", "-N", *where, "--empty-password"])
    run(["certutil", "-A", *where, "-n", "site", "-t", "C,,", "-i", str(file)])
    return folder
