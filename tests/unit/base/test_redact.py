"""What is masked in messages and logs, and what is not."""

import pytest

from builder.base.redact import redact


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("http://a:b@c/", "http://a:***@c/"),
        ("http://:secret@host/x", "http://:***@host/x"),
        ("http://token@host/simple", "http://***@host/simple"),
        ("https://u:p%40q@r/s, https://v:w@x", "https://u:***@r/s, https://v:***@x"),
        ("https://u:p@ss@r/s", "https://u:***@r/s"),
        ("https://u:p/w@r/s", "https://u:***@r/s"),
        ("https://h/f?token=abc&a=1", "https://h/f?token=***&a=1"),
        ("https://h/f?a=1&X-Amz-Signature=ab%2Fc", "https://h/f?a=1&X-Amz-Signature=***"),
        ("https://h/f?private_token=x#part", "https://h/f?private_token=***#part"),
        ("https://h/f?PASSWORD='q'", "https://h/f?PASSWORD='q'"),
        ("https://host:8080/@scope/name", "https://host:8080/@scope/name"),
        ("https://host/@scope/name", "https://host/@scope/name"),
        ("mail me@host, see https://host/", "mail me@host, see https://host/"),
    ],
)
def test_secrets_of_urls_are_masked(text: str, shown: str) -> None:
    assert redact(text) == shown


def test_masking_twice_changes_nothing() -> None:
    masked = redact("https://u:p@h/?token=x")
    assert redact(masked) == masked
