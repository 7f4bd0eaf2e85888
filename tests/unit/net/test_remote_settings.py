"""What the environment says of the remote cache."""

import os
from pathlib import Path

import pytest

from builder.base.errors import UsageError
from builder.net.remote_cache import open_remote_cache
from builder.net.remote_stores import HttpStore


def _settings(tmp_path: Path, **changed: str) -> dict[str, str]:
    key = tmp_path / "key"
    key.write_text("k" * 64 + "\n")
    return {
        "BUILDER_REMOTE_CACHE": "https://cache.example.org/x/",
        "BUILDER_REMOTE_CACHE_KEY": str(key),
        **changed,
    }


def test_the_environment_names_the_cache(tmp_path: Path) -> None:
    assert open_remote_cache(offline=False, environment={}) is None
    token = tmp_path / "token"
    token.write_text("t0ken\n")
    given = _settings(
        tmp_path,
        BUILDER_REMOTE_CACHE_TOKEN_FILE=str(token),
        BUILDER_REMOTE_CACHE_MODE="read",
    )
    remote = open_remote_cache(offline=False, environment=given)
    assert remote is not None
    assert remote.secret == b"k" * 64
    assert not remote.writes
    assert isinstance(remote.store, HttpStore)
    assert (remote.store.url, remote.store.token) == ("https://cache.example.org/x", "t0ken")
    assert open_remote_cache(offline=True, environment=given) is None
    folder = _settings(tmp_path, BUILDER_REMOTE_CACHE=str(tmp_path))
    assert open_remote_cache(offline=True, environment=folder) is not None


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"BUILDER_REMOTE_CACHE": "ftp://host/x"}, "no cache of the kind ftp://"),
        ({"BUILDER_REMOTE_CACHE": "s3://bucket/x?y"}, "s3://BUCKET/PREFIX is needed"),
        ({"BUILDER_REMOTE_CACHE": "https://user:pass@host/"}, "a plain URL is needed"),
        ({"BUILDER_REMOTE_CACHE_MODE": "reed"}, "BUILDER_REMOTE_CACHE_MODE is 'reed'"),
        ({"BUILDER_REMOTE_CACHE_KEY": "/nonexistent"}, "No such file"),
        ({"BUILDER_REMOTE_CACHE_KEY": os.devnull}, "shorter than 32"),
        ({"BUILDER_REMOTE_CACHE_TOKEN": "a\nb"}, "no bearer token"),
    ],
)
def test_a_wrong_setting_is_an_error_at_once(
    tmp_path: Path, changed: dict[str, str], message: str
) -> None:
    with pytest.raises(UsageError) as caught:
        open_remote_cache(offline=False, environment=_settings(tmp_path, **changed))
    assert message in caught.value.message
    assert "pass" not in caught.value.message
