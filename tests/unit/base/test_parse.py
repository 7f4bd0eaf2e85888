"""TOML and JSON that make Python's own parsers fail in ways that nobody expects."""

import pytest

from builder.base.files import check_file_name
from builder.base.parse import TextError, parse_json, parse_json_object, parse_toml, shown

_DIGITS = "9" * 5000


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("a = " + "[" * 50_000, "nested too deeply"),
        ("a = " + "{a=" * 50_000, "nested too deeply"),
        (f"a = {_DIGITS}", "4300 digits"),
        ("a = 1979-13-40", "not TOML"),
        ("a", "not TOML"),
    ],
)
def test_no_toml_is_an_error_of_ours(text: str, says: str) -> None:
    with pytest.raises(TextError, match=says):
        parse_toml(text)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("[" * 100_000, "nested too deeply"),
        (f'{{"a": {_DIGITS}}}', "4300 digits"),
        (b"\xff\xfe\x00", "not JSON"),
        ("", "not JSON"),
    ],
)
def test_no_json_is_an_error_of_ours(text: str | bytes, says: str) -> None:
    with pytest.raises(TextError, match=says):
        parse_json(text)


def test_an_object_of_json_is_nothing_else() -> None:
    assert parse_json_object(b'{"a": 1}') == {"a": 1}
    for text, says in (
        ("[]", "not a JSON object"),
        ("null", "not a JSON object"),
        ("{", "not JSON"),
    ):
        with pytest.raises(TextError, match=says):
            parse_json_object(text)


def test_any_value_can_be_shown() -> None:
    table = parse_toml(f"a = nan\nb = 0x{'f' * 5000}\nc = '{'x' * 5000}'\n")
    assert shown(table["a"]) == "nan"
    assert shown(table["b"]) == "a number of 20000 bits"
    assert len(shown(table["c"])) == 201


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", "/a", "a\0b", "n" * 256, "ü" * 128])
def test_no_file_s_name(name: str) -> None:
    with pytest.raises(ValueError, match="no file's name"):
        check_file_name(name)


def test_a_name_of_255_bytes_is_one() -> None:
    assert check_file_name("n" * 255) == "n" * 255
