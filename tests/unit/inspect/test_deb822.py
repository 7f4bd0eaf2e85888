"""Control paragraphs as dpkg reads them, whatever Python takes for a line's end."""

import pytest

from builder.inspect.deb822 import decode, encode, parse_fields, printable, split_control
from builder.inspect.streams import DamagedError
from builder.repo.deb_package import control_paragraph, list_paths
from tests.unit.inspect.control import HEAD, SIGNS


@pytest.mark.parametrize("sign", SIGNS)
@pytest.mark.parametrize("text", ["of this{0}", "of{0}this", "of {0}Essential: yes", "{0}of this"])
def test_a_description_neither_hides_fields_nor_makes_any(sign: str, text: str) -> None:
    line = text.format(sign)
    control = f"{HEAD}Description: a tool\n {line}\nDepends: libc6\n"
    fields = parse_fields(control)
    assert fields["depends"] == "libc6"
    assert set(fields) == {
        *("package", "version", "architecture", "maintainer", "description", "depends")
    }
    assert control_paragraph(control) == control


def test_bytes_that_are_no_utf_8_go_through_unchanged() -> None:
    data = HEAD.encode() + b"Description: caf\xe9 \xff\n more\xc3\n"
    assert encode(control_paragraph(decode(data))) == data
    assert printable(decode(b"caf\xe9")) == "caf\ufffd"


@pytest.mark.parametrize(
    ("control", "problem"),
    [
        ("Package: a\nPackage: b\n", "the field Package twice"),
        ("Package: a\nPACKAGE : b\n", "the field PACKAGE twice"),
        ("Package: a\n\nDepends: b\n", "a blank line, and more behind it"),
        ("Package: a\n \t\n more\n", "a blank line, and more behind it"),
        ("Package: a\nno field\n", "the line 'no field'"),
        (" continued\nPackage: a\n", "the line ' continued'"),
        ("Package: a\nDescription: b\x1aDepends: c\n", "0x1A"),
        ("Package: a\0b\n", "NUL"),
    ],
)
def test_what_dpkg_refuses_is_refused(control: str, problem: str) -> None:
    with pytest.raises(DamagedError, match=problem):
        split_control(control)


def test_blank_lines_around_the_paragraph_are_nothing() -> None:
    assert parse_fields("\n\nA: 1\n 2\n .\nB:\n\n \n") == {"a": "1\n2\n", "b": ""}
    assert [field.name for field in split_control("\nA: 1\n\n\n")] == ["A"]


def test_a_path_is_one_line_of_contents() -> None:
    listed = list_paths(["/usr/a\nb", "/usr/\u2028c", "/usr/\udcff", "/lib/x\\x2d.service"])
    assert listed == b"lib/x\\x2d.service\nusr/a\\nb\nusr/\xe2\x80\xa8c\nusr/\xff"
