"""News, a bump and a new line, by the real uv and an index on loopback."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from builder.base.cache import Cache
from builder.base.errors import FetchError, LockError, UsageError
from builder.base.paths import PROJECT
from builder.jobs.release import make_report
from builder.lock import load_lock, save_lock, stale_locks
from builder.lock.resolve import make_locks
from builder.release.bump import NewLine, Workshop, begin, bump, save
from builder.release.news import find_news, missing_at
from builder.release.page import render_text
from builder.spec import Spec, load_spec
from tests.helpers.json_index import JsonIndex, json_index
from tests.helpers.specs import (
    COMMON,
    RELEASE,
    RUNTIME,
    SERVICE,
    locked,
    make_lock,
    write_pkgspec,
    write_sources,
)
from tests.helpers.wheelhouse import Recipe

_NOW = datetime(2026, 3, 4, 5, 6, 7, tzinfo=UTC)
_MANAGER = "backend.ai-manager"
_PACKAGES = {
    "example-runtime": RUNTIME,
    "example-common": COMMON,
    "example-service": SERVICE.replace(
        'requirement = "example-service"', f'requirement = "{_MANAGER}"'
    ),
}
_RELEASE = (
    RELEASE.replace("1.0.2", "31.1.2")
    .replace('name = "1.0"', '# Of this line.\nname = "31.1"')
    .replace("default = true\n", 'default = true\nmaintained-until = "open"\n')
    .replace("T00:00:00Z\n", "T00:00:00Z # soon after the release\n")
    .replace("\n\n[[changelog]]", '\nupgrades-from = ["31.1"]\n\n[[changelog]]')
)


@pytest.fixture
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[JsonIndex]:
    """An index with two lines and a pre-release, and a library that has moved on."""
    folder = tmp_path / "wheels"
    folder.mkdir()
    for version in ("31.1.2", "31.1.3", "31.2.0", "31.3.0a1"):
        Recipe(name=_MANAGER, version=version, requires=["library", "other>=1"]).write(folder)
    for name, version in (("library", "1.0"), ("library", "1.1"), ("other", "1.0")):
        Recipe(name=name, version=version).write(folder)
    with json_index(folder) as index:
        index.uploaded["library-1.1-py3-none-any.whl"] = "2026-02-01T00:00:00Z"
        monkeypatch.setenv("UV_DEFAULT_INDEX", index.url)
        monkeypatch.setenv("UV_FIND_LINKS", "")
        monkeypatch.delenv("BUILDER_MIRROR", raising=False)
        yield index


@pytest.fixture
def shop(tmp_path: Path, index: JsonIndex, cache: Cache) -> Workshop:
    """A project at 31.1.2, locked when the newer library was not there yet."""
    write_sources(tmp_path)
    folder = write_pkgspec(tmp_path, packages=_PACKAGES, releases={"31.1": _release()})
    spec = load_spec(folder)
    wheels = tuple(
        locked(name, version, f"{name}-{version}-py3-none-any.whl")
        for name, version in (("library", "1.0"), ("other", "1.0"))
    )
    save_lock(folder, make_lock(spec, wheels=wheels))
    return Workshop(spec=spec, pythons=["3.13.5"], cache=cache)


def _release() -> str:
    return _RELEASE.replace("index-until = 2026-01-01", "index-until = 2026-01-15")


def _versions(spec: Spec, release: str) -> dict[str, str]:
    lock = load_lock(spec.root, release, "example-service")
    return {found.name: found.version for found in lock.wheel}


def test_news_are_of_each_line_and_of_a_line_that_is_new(shop: Workshop) -> None:
    news = find_news(shop.spec, shop.cache)
    (line,) = news.lines
    assert (line.version, line.newest, line.is_newer) == ("31.1.2", "31.1.3", True)
    assert line.lacking == ()
    assert line.maintained_until == "open"
    assert (news.newest, news.new_line(), news.pre_release) == ("31.2.0", "31.2", "31.3.0a1")


def test_a_bump_moves_one_line_and_keeps_pins_that_need_not_move(shop: Workshop) -> None:
    root = shop.spec.root
    moved = bump(shop, shop.spec.release("31.1"), "31.1.3", _NOW)
    assert load_spec(root).release("31.1").version == "31.1.2"  # nothing is written yet
    save(root, moved)
    spec = load_spec(root)
    release = spec.release("31.1")
    assert (release.version, release.revision, release.default) == ("31.1.3", 1, True)
    assert release.index_until == datetime(2026, 3, 4, 5, 6, tzinfo=UTC)
    assert [entry.version for entry in release.changelog] == ["31.1.3", "31.1.2"]
    assert not stale_locks(spec, release)
    expected = {"backend-ai-manager": "31.1.3", "library": "1.0", "other": "1.0"}
    assert _versions(spec, "31.1") == expected
    text = (root / "releases/31.1.toml").read_text()
    assert "# Of this line.\n" in text
    assert "index-until = 2026-03-04T05:06:00Z # soon after the release\n" in text


def test_a_pin_moves_where_the_release_asks_for_more(shop: Workshop, index: JsonIndex) -> None:
    Recipe(name=_MANAGER, version="31.1.3", requires=["library>=1.1"]).write(index.folder)
    moved = bump(shop, shop.spec.release("31.1"), "31.1.3", _NOW)
    (lock,) = moved.locks
    assert {found.name: found.version for found in lock.wheel} == {
        "backend-ai-manager": "31.1.3",
        "library": "1.1",
    }


def test_a_new_line_has_the_packages_and_pins_of_the_other(shop: Workshop) -> None:
    root = shop.spec.root
    save(
        root,
        begin(shop, NewLine(name="31.2", version="31.2.0", like=shop.spec.release("31.1")), _NOW),
    )
    spec = load_spec(root)
    old, new = spec.release("31.1"), spec.release("31.2")
    assert new.packages == old.packages
    assert (new.version, new.default, old.default) == ("31.2.0", False, True)
    assert new.upgrades_from == ("31.1", "31.2")
    assert new.maintained_until == "open"
    assert [entry.version for entry in new.changelog] == ["31.2.0"]
    assert _versions(spec, "31.2")["library"] == "1.0"
    assert not stale_locks(spec, new)


def test_a_line_begun_from_a_newer_one_does_not_upgrade_from_it(shop: Workshop) -> None:
    release = shop.spec.release("31.1").model_copy(update={"version": "31.3.0"})
    moved = begin(shop, NewLine(name="31.2", version="31.2.0", like=release), _NOW)
    assert moved.release.upgrades_from == ("31.2",)


def test_a_distribution_that_the_index_lacks_stops_a_bump(shop: Workshop) -> None:
    release = shop.spec.release("31.1")
    gone = release.model_copy(update={"version": "31.1.9"})
    assert missing_at(shop.spec, gone, shop.cache) == [_MANAGER]
    with pytest.raises(LockError, match=r"the index has no release 31\.1\.9") as found:
        bump(shop, release, "31.1.9", _NOW)
    assert "builder release check" in str(found.value.hint)
    assert load_spec(shop.spec.root).release("31.1").version == "31.1.2"


def test_a_new_line_that_does_not_resolve_says_for_whom_and_where_to_go_on(
    shop: Workshop, index: JsonIndex
) -> None:
    """By the file of the other line: the new one has none yet."""
    Recipe(name=_MANAGER, version="31.2.0", requires=["odd-one==1"]).write(index.folder)
    Recipe(name="odd-one", version="1", tag="cp313-cp313-win_amd64").write(index.folder)
    with pytest.raises(LockError) as found:
        begin(shop, NewLine(name="31.2", version="31.2.0", like=shop.spec.release("31.1")), _NOW)
    error = found.value
    head, service, *reason = error.message.splitlines()
    assert head == "release 31.2 cannot be resolved for x86_64-manylinux_2_28, Python 3.13:"
    assert service == f"  example-service: {_MANAGER}==31.2.0"
    assert reason[0].startswith("  Because odd-one==1 has no wheels with a matching platform tag")
    assert "pip compile" not in error.message
    hint = str(error.hint)
    assert "[sdist.odd-one]" in hint
    assert "a copy of pkgspec/releases/31.1.toml, as docs/guides/add-a-line.md says" in hint
    assert "31.2.toml" not in hint
    assert (PROJECT / "docs/guides/add-a-line.md").is_file()


def test_a_bump_that_does_not_resolve_names_the_file_of_its_line(
    shop: Workshop, index: JsonIndex
) -> None:
    Recipe(name=_MANAGER, version="31.1.3", requires=["library>=9"]).write(index.folder)
    with pytest.raises(LockError) as found:
        bump(shop, shop.spec.release("31.1"), "31.1.3", _NOW)
    assert "library>=9" in found.value.message
    assert "unsatisfiable" in found.value.message
    assert "pkgspec/releases/31.1.toml" in str(found.value.hint)
    assert "[sdist." not in str(found.value.hint)


def test_an_index_that_does_not_answer_is_no_news(
    shop: Workshop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("UV_DEFAULT_INDEX", "http://127.0.0.1:9/simple")
    monkeypatch.setenv("UV_HTTP_RETRIES", "0")
    asked = r"127\.0\.0\.1:9/simple/backend-ai-manager/: Connection refused"
    with pytest.raises(FetchError, match=f"the index does not answer: .*{asked}"):
        find_news(shop.spec, shop.cache)


def test_a_version_newer_than_the_lines_locks_is_compared_before_any_move(
    shop: Workshop, index: JsonIndex
) -> None:
    release = shop.spec.release("31.1")
    for lock in make_locks(shop.spec, release, shop.pythons, shop.cache, upgrade=False):
        save_lock(shop.spec.root, lock)
    wheel = "backend_ai_manager-31.1.3-py3-none-any.whl"
    assert (index.folder / wheel).is_file()
    index.uploaded[wheel] = "2026-02-01T00:00:00Z"  # the line considers the index of January
    report = make_report(shop, "31.1.3", "31.1")
    assert "(31.1.3) against 31.1 (31.1.2)" in render_text(report)
    assert load_spec(shop.spec.root).release("31.1").version == "31.1.2"


@pytest.mark.parametrize(
    ("line", "against", "said"),
    [
        ("31.1", "31.1", "31.1 and 31.1 are both 31.1.2: there is nothing to compare"),
        ("31.1", "31.1.2", "31.1 and 31.1.2 are both 31.1.2"),
        ("31.1.3", "31.1.3", "31.1.3 and 31.1.3 are both 31.1.3"),
        ("31.1.x", "31.1", "'31.1.x' is neither a line nor a version of one"),
        ("31.1", "31.2", "'31.2' is neither a line nor a version of one"),
    ],
)
def test_a_report_of_nothing_is_refused(shop: Workshop, line: str, against: str, said: str) -> None:
    with pytest.raises(UsageError, match=said) as found:
        make_report(shop, line, against)
    assert "lines: 31.1" in str(found.value.hint)


def test_a_report_of_a_version_that_the_index_lacks_says_so(shop: Workshop) -> None:
    with pytest.raises(LockError, match=r"^the index has no release 31\.1\.9$"):
        make_report(shop, "31.1.9", "31.1")


def test_a_new_line_without_a_package_that_the_index_lacks(shop: Workshop) -> None:
    """The error names the option, and with it the line begins."""
    service = shop.spec.packages["example-service"]
    assert service.python is not None
    python = service.python.model_copy(update={"requirement": "backend.ai-late"})
    late = service.model_copy(update={"name": "example-late", "python": python})
    spec = replace(shop.spec, packages={**shop.spec.packages, "example-late": late})
    shop, like = replace(shop, spec=spec), spec.release("31.1")
    packages = like.packages
    like = like.model_copy(update={"packages": (*packages, "example-late")})
    path = spec.root / "releases/31.1.toml"
    common = '"example-common"'
    path.write_text(path.read_text().replace(common, f'{common}, "example-late"'))
    with pytest.raises(LockError, match=r"no 31\.2\.0 of backend\.ai-late") as found:
        begin(shop, NewLine(name="31.2", version="31.2.0", like=like), _NOW)
    assert "--without" in str(found.value.hint)
    with pytest.raises(UsageError, match=r"31\.1 has no package example-later"):
        begin(
            shop, NewLine(name="31.2", version="31.2.0", like=like, without=["example-later"]), _NOW
        )
    moved = begin(
        shop, NewLine(name="31.2", version="31.2.0", like=like, without=["example-late"]), _NOW
    )
    assert moved.release.packages == packages
    assert {lock.package for lock in moved.locks} == {"example-service"}
