"""Names, versions and architectures against the programs that define them."""

import random
import shutil

import pytest

from builder.base.run import run
from tests.unit.inspect.identities import DEB, is_accepted

_ALPHABET = "aZ09.+-~:_^/ \n\x00é%"


@pytest.mark.parametrize(
    ("option", "field"), [("--validate-version", "version"), ("--validate-pkgname", "name")]
)
def test_dpkg_accepts_what_is_accepted(option: str, field: str) -> None:
    dpkg = shutil.which("dpkg")
    if dpkg is None:
        pytest.skip("needs dpkg")
    chance = random.Random(f"{option} 20261125")
    texts = {"".join(chance.choices(_ALPHABET, k=chance.randint(1, 6))) for _ in range(250)}
    accepted = [text for text in sorted(texts) if is_accepted(DEB, **{field: text})]
    assert accepted
    for text in accepted:
        result = run([dpkg, option, text], check=False)
        assert result.status == 0, (text, result.stderr)
    refused = [text for text in sorted(texts) if text not in accepted and "\0" not in text]
    only_dpkg = [
        text
        for text in refused
        if text.strip() and run([dpkg, option, text], check=False).status == 0
    ]
    # dpkg takes names that dpkg-deb would not build, and versions that it warns of.
    assert all(
        any(sign.isupper() or sign == "_" for sign in text)
        or len(text) == 1
        or (field == "version" and not text[0].isdigit())
        or text != text.strip()
        for text in only_dpkg
    ), only_dpkg
