"""repo.toml: what it says by default, and how each mistake is reported."""

from pathlib import Path

import pytest

from builder.base.errors import RepoError, SpecError
from builder.repo.config import FolderTarget, IndexCompression, RsyncTarget, S3Target, load_config
from builder.repo.init import InitRequest, init_repository
from builder.repo.state import open_state
from tests.helpers.repos import CHANNELS, CONFIG

_KEY = "0123456789ABCDEF0123456789ABCDEF01234567"
_REQUEST = InitRequest(
    name="example",
    label='The "Example" packages',
    base_url="https://packages.example.org/",
    keys=(_KEY,),
    channels=("stable", "nightly"),
)


def _problems(tmp_path: Path, text: str) -> list[str]:
    (tmp_path / "repo.toml").write_text(text)
    with pytest.raises(SpecError) as error:
        load_config(tmp_path)
    return [problem.replace(f"{tmp_path}/", "") for problem in error.value.problems]


def test_defaults(tmp_path: Path) -> None:
    (tmp_path / "repo.toml").write_text(CONFIG + CHANNELS)
    config = load_config(tmp_path)
    assert config.base_url == "https://packages.example.org"
    assert config.apt.compressions == (IndexCompression.GZIP, IndexCompression.XZ)
    assert config.rpm.compression is IndexCompression.GZIP
    assert config.signing.packages
    assert config.retention_of("stable").keep == 5
    assert config.targets == {}


def test_channels_may_keep_differently_and_targets_are_of_three_kinds(tmp_path: Path) -> None:
    text = f"""{CONFIG}
[signing]
keys = ["{" ".join(_KEY[i : i + 4] for i in range(0, 40, 4)).lower()}"]
[channels.stable]
retention = {{ keep = "all" }}
[channels.nightly]
[targets.web]
kind = "folder"
path = "/srv/www"
[targets.mirror]
kind = "rsync"
destination = "user@host:/srv"
[targets.bucket]
kind = "s3"
bucket = "packages"
"""
    (tmp_path / "repo.toml").write_text(text)
    config = load_config(tmp_path)
    assert config.signing.keys == (_KEY,)
    assert config.retention_of("stable").keep == "all"
    assert config.retention_of("nightly").keep == 5
    assert [type(target) for target in config.targets.values()] == [
        FolderTarget,
        RsyncTarget,
        S3Target,
    ]


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ('lable = "x"', "unknown key 'lable' (did you mean 'label'?)"),
        ('base_url = "x"', "unknown key 'base_url' (did you mean 'base-url'?)"),
        ('[signing]\nkeys = ["ABCD1234"]', "must be a whole fingerprint"),
        ("[retention]\nkeep = 0", "greater than or equal to 1"),
        ('[apt]\ncompressions = ["bz2"]', "'gz', 'xz' or 'zst'"),
        ('[targets.web]\nkind = "ftp"', "'folder', 'rsync', 's3'"),
        ('[targets.web]\nkind = "folder"', "'targets.web.folder.path' is missing"),
    ],
)
def test_a_mistake_is_reported(tmp_path: Path, change: str, problem: str) -> None:
    (text,) = [
        text for text in _problems(tmp_path, f"{CONFIG}{change}\n{CHANNELS}") if problem in text
    ]
    assert text.startswith("repo.toml: ")


def test_what_a_folder_or_a_sources_file_cannot_hold_is_refused(tmp_path: Path) -> None:
    text = CONFIG.replace('"Example"', '"a\\nb"').replace("https", "ftp") + '[channels."a b"]\n'
    problems = "\n".join(_problems(tmp_path, text))
    assert "'origin': must be one line" in problems
    assert "'base-url': must be an http:// or https:// address" in problems
    assert "channels.a b" in problems
    twice = CONFIG.replace('["amd64", "arm64"]', '["amd64", "amd64"]') + CHANNELS
    assert "architectures has the same value twice" in "\n".join(_problems(tmp_path, twice))
    assert _problems(tmp_path, CONFIG) == ["repo.toml: 'channels' is missing"]


def test_init_writes_a_config_that_loads_and_an_empty_state(tmp_path: Path) -> None:
    path = init_repository(tmp_path / "new", _REQUEST)
    config = load_config(path.parent)
    assert config.label == 'The "Example" packages'
    assert list(config.channels) == ["stable", "nightly"]
    assert config.signing.keys == (_KEY,)
    assert config.retention.max_age_days == 90
    with open_state(path.parent) as state:
        assert list(state.everything()) == []
    with pytest.raises(RepoError, match="is there already"):
        init_repository(tmp_path / "new", _REQUEST)


def test_init_with_a_bad_value_leaves_nothing(tmp_path: Path) -> None:
    bad = InitRequest(
        name="Not a word", label="l", base_url="packages", keys=("AB",), channels=("stable",)
    )
    with pytest.raises(SpecError) as error:
        init_repository(tmp_path / "new", bad)
    assert len(error.value.problems) == 3
    assert all(problem.startswith("repo.toml: ") for problem in error.value.problems)
    assert list((tmp_path / "new").iterdir()) == []


def test_a_folder_that_is_no_repository_is_reported(tmp_path: Path) -> None:
    with pytest.raises(RepoError, match="is not a repository"), open_state(tmp_path):
        pass
    (tmp_path / ".state").mkdir()
    (tmp_path / ".state" / "repo.sqlite").write_text("not a database, however long it may be " * 9)
    with pytest.raises(RepoError, match="not the state of a repository"), open_state(tmp_path):
        pass
