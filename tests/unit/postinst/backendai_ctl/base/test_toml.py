"""Every file of TOML is read by one module, whose errors say what is wrong and where."""

from pathlib import Path

import pytest
from backendai_ctl.base.errors import HostError, RecipeError
from backendai_ctl.base.toml import NotTomlError, parse_table, read_table, shipped_table


def test_text_that_is_not_toml_says_where() -> None:
    with pytest.raises(NotTomlError, match=r"is not TOML: .*line 2"):
        parse_table("a = 1\nb = \n")


@pytest.mark.parametrize(
    ("content", "words"),
    [(b"a =", "{path}: is not TOML"), (b"\xff", "can't decode"), (None, "cannot read {path}: No")],
)
def test_a_file_of_the_host_is_the_hosts_matter(
    tmp_path: Path, content: bytes | None, words: str
) -> None:
    path = tmp_path / "manager.toml"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(HostError) as caught:
        read_table(path, hint="make it")
    assert words.format(path=path) in caught.value.message
    assert caught.value.hint == ("make it" if content is None else None)


def test_a_shipped_file_is_its_packages_matter(tmp_path: Path) -> None:
    path = tmp_path / "manager.toml"

    def read(key: str) -> object:
        with shipped_table(path, "backendai-manager") as table:
            return table[key]

    for content, words in ((None, "No such file"), ("a = 1", "has no 'b'"), ("a", "is not TOML")):
        if content is not None:
            path.write_text(content)
        with pytest.raises(RecipeError, match=words) as caught:
            read("b")
        assert caught.value.message.startswith(f"{path}: ")
        assert caught.value.hint == "reinstall backendai-manager"
    path.write_text("b = 2")
    assert read("b") == 2
