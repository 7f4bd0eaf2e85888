"""JSON that is written as it is read is the JSON of the whole."""

import json

import pytest

from builder.cli.json_output import print_json


@pytest.mark.parametrize(
    "value",
    [
        {},
        [],
        None,
        'é\n"',
        {"a": [], "b": {}, "c": [1, 2.5, True, None], "d": {"e": {"f": ["x"]}}},
        [[], [[]], {"name": "tool", "size": 1}, "text"],
        {"long": [{"name": str(number)} for number in range(1500)]},
    ],
)
def test_it_is_what_json_writes(value: object, capsys: pytest.CaptureFixture[str]) -> None:
    print_json(value)
    assert capsys.readouterr().out == json.dumps(value, indent=2) + "\n"


def test_rows_need_not_be_a_list(capsys: pytest.CaptureFixture[str]) -> None:
    print_json({"rows": map(str, range(3)), "none": iter(())})
    assert json.loads(capsys.readouterr().out) == {"rows": ["0", "1", "2"], "none": []}
