"""Files of the target are read as the shell and systemd read them, byte by byte."""

from pathlib import Path

import pytest
from backendai_ctl.answers.edits import get_answer, read_preseed, set_answer
from backendai_ctl.base.errors import HostError, SiteError
from backendai_ctl.base.files import Writer
from backendai_ctl.base.layout import Layout
from backendai_ctl.base.text import (
    decode,
    encode,
    fields_of,
    lines_of,
    read_lines,
    unescaped,
    value_of,
)
from backendai_ctl.services.edit import edit_ini

from tests.unit.postinst.conftest import caller

# Python's line ends that are none to a shell.
_ENDS = ("\r", "\x0b", "\x0c", "\x1c", "\x1d", "\x1e", "\x85", "\u2028", "\u2029")


@pytest.mark.parametrize("data", [b"", b"a", b"a\n", b"a\n\nb", b"\xff\xfe\n", b"\r\n\x0c\n"])
def test_text_goes_there_and_back(tmp_path: Path, data: bytes) -> None:
    assert encode(decode(data)) == data
    (tmp_path / "file").write_bytes(data)
    lines = read_lines(tmp_path / "file")
    assert lines == lines_of(decode(data))
    assert encode("".join(f"{line}\n" for line in lines)).removesuffix(b"\n") == data.removesuffix(
        b"\n"
    )


@pytest.mark.parametrize("sign", _ENDS, ids=ascii)
def test_a_password_of_debconf_arrives_whole(layout: Layout, sign: str) -> None:
    layout.preseed.parent.mkdir(parents=True, exist_ok=True)
    layout.preseed.write_bytes(f"BACKENDAI_REDIS_PASSWORD='a{sign}b c'\n".encode())
    assert read_preseed(layout) == {"BACKENDAI_REDIS_PASSWORD": f"a{sign}b c"}


def test_bytes_that_are_no_utf8_are_refused_and_not_lost(layout: Layout) -> None:
    layout.preseed.parent.mkdir(parents=True, exist_ok=True)
    layout.preseed.write_bytes(b"BACKENDAI_REDIS_PASSWORD='a\xffb'\nBACKENDAI_ETCD_USER='x'\n")
    found = read_preseed(layout)
    assert found["BACKENDAI_ETCD_USER"] == "x"
    with pytest.raises(SiteError, match=r"BACKENDAI_REDIS_PASSWORD = \(not shown\)"):
        set_answer(layout, Writer(owner=caller()), "etcd.namespace", "x", found)
    layout.preseed.write_bytes(b"A='x\n")
    with pytest.raises(HostError, match="a quote without its end"):
        read_preseed(layout)


@pytest.mark.parametrize("value", ["9" * 5000, "-1", "\u0661", "1e3", "nan"])
def test_numbers_that_are_none(layout: Layout, value: str) -> None:
    with pytest.raises(SiteError, match=r"account\.uid = "):
        set_answer(layout, Writer(owner=caller()), "account.uid", value, {})


@pytest.mark.parametrize("text", ["a = " + "[" * 9000, "a = " + "9" * 5000, "\ufeff[", "a = nan"])
def test_a_site_toml_that_breaks_parsers(layout: Layout, text: str) -> None:
    layout.site.write_text(text, encoding="utf-8")
    with pytest.raises(SiteError):
        get_answer(layout, "etcd.namespace")


def test_a_site_toml_that_is_no_utf8_is_not_edited(layout: Layout) -> None:
    layout.site.write_bytes(b"# \xff\n[etcd]\n")
    with pytest.raises(SiteError, match="is not UTF-8 at byte 2"):
        set_answer(layout, Writer(owner=caller()), "etcd.namespace", "x", {})
    assert layout.site.read_bytes() == b"# \xff\n[etcd]\n"


@pytest.mark.parametrize("sign", ["\u2028", "\u0085"])
def test_edits_keep_line_separators_of_others(layout: Layout, sign: str) -> None:
    before = f'# a{sign}b\n[redis]\npassword = "c{sign}d"\r\n[etcd]\nuser = "x"\n'
    layout.site.write_bytes(before.encode())
    assert set_answer(layout, Writer(owner=caller()), "etcd.user", "y", {})
    assert layout.site.read_bytes().decode() == before.replace('"x"', '"y"')
    assert get_answer(layout, "redis.password") == f"c{sign}d"


def test_an_ini_keeps_its_lines(layout: Layout) -> None:
    text = "[a]\n# x\x0cy\u2028z\nk = 1\r\n"
    assert edit_ini(text, {"a.k": "2"}) == "[a]\n# x\x0cy\u2028z\nk = 2\n"
    Writer(owner=caller()).replace(layout.etc / "file", decode(b"\xff\r\n"))
    assert (layout.etc / "file").read_bytes() == b"\xff\r\n"


@pytest.mark.parametrize("sign", _ENDS, ids=ascii)
def test_fields_of_fstab_end_at_blanks_and_tabs(sign: str) -> None:
    assert fields_of(f" server:/v \t/srv/a{sign}b  nfs4\t") == [
        "server:/v",
        f"/srv/a{sign}b",
        "nfs4",
    ]
    assert fields_of(" \t") == []


@pytest.mark.parametrize(
    ("field", "path"),
    [
        (r"/a\040b\011c", "/a b\tc"),
        (r"/a\134040", r"/a\040"),  # a backslash, and not a blank
        (r"/a\012b\043", "/a\nb#"),
        (r"/\303\274", "/ü"),
        (r"/a\9\04", r"/a\9\04"),
    ],
)
def test_octal_numbers_are_bytes(field: str, path: str) -> None:
    assert unescaped(field) == path


@pytest.mark.parametrize("sign", [sign for sign in _ENDS if sign != "\r"], ids=ascii)
def test_a_value_ends_with_its_own_characters(sign: str) -> None:
    assert value_of(f" {sign}a{sign}\r\n") == f"{sign}a{sign}"
