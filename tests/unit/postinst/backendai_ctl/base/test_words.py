"""A word is its text, wherever it is printed, as an enum.StrEnum's is."""

import json

from backendai_ctl.base.words import Word


class Answer(Word):
    YES = "yes"


def test_a_word_is_its_text() -> None:
    assert [str(Answer.YES), f"{Answer.YES}", f"{Answer.YES:>5}"] == ["yes", "yes", "  yes"]
    assert json.dumps({Answer.YES: Answer.YES}) == '{"yes": "yes"}'
    assert Answer("yes") is Answer.YES
    assert {"yes": 1}[Answer.YES] == 1
