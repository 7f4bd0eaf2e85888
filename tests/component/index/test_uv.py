"""Talking to uv: what it is asked, and what is read out of its answer."""

import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest

from builder.base.cache import Cache
from builder.base.errors import FetchError, LockError, ToolError
from builder.base.model import Arch
from builder.index.uv import Limits, Target, UnresolvedError, locate, parse_pylock, resolve

TARGET = Target(minor="3.13", arch=Arch.AMD64, glibc="2.28")
PYLOCK = """
lock-version = "1.0"
created-by = "uv"
[[packages]]
name = "zlib-ng"
version = "1.0"
[[packages.wheels]]
url = "https://index.test/z%2Bx/zlib_ng-1.0-cp313-cp313-manylinux_2_34_x86_64.whl"
hashes = { sha256 = "01" }
[[packages.wheels]]
url = "https://index.test/z/zlib_ng-1.0-cp313-cp313-manylinux2014_x86_64.whl"
size = 7
hashes = { sha256 = "02" }
[[packages]]
name = "an-sdist"
version = "2.0+local"
[packages.sdist]
url = "https://index.test/an_sdist-2.0%2Blocal.tar.gz"
hashes = { sha256 = "03" }
"""


class FakeUv:
    """A stand-in for uv that records its arguments and answers as set up."""

    def __init__(self, folder: Path, answer: str, status: int = 0) -> None:
        self.asked = folder / "asked"
        self.path = folder / "uv"
        (folder / "answer").write_text(answer, encoding="utf-8")
        self.path.write_text(
            f"""#!/bin/sh
printf '%s\\n' "$@" > {self.asked}
for word; do
    case "$word" in *.txt|*.in) cp "$word" {folder}/ ;; esac
    [ "$previous" != --output-file ] || output=$word
    previous=$word
done
[ ! -e "$output" ] || cp "$output" {folder}/preferred
if [ {status} -ne 0 ]; then cat {folder}/answer >&2; exit {status}; fi
cp {folder}/answer "$output"
""",
            encoding="utf-8",
        )
        self.path.chmod(0o755)

    @property
    def words(self) -> list[str]:
        return self.asked.read_text(encoding="utf-8").splitlines()


@pytest.fixture
def uv(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeUv:
    return fake_uv(tmp_path, monkeypatch, PYLOCK)


def fake_uv(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, answer: str, status: int = 0
) -> FakeUv:
    folder = tmp_path / "uv"
    folder.mkdir(exist_ok=True)
    fake = FakeUv(folder, answer, status)
    monkeypatch.setenv("BUILDER_UV", str(fake.path))
    return fake


def test_the_best_wheel_of_each_is_chosen_and_the_sdist_is_known() -> None:
    sdist, wheel = parse_pylock(PYLOCK, TARGET)
    assert (sdist.name, sdist.version, sdist.wheel) == ("an-sdist", "2.0+local", None)
    assert sdist.sdist is not None
    assert sdist.sdist.name == "an_sdist-2.0+local.tar.gz"
    assert wheel.wheel is not None
    assert wheel.wheel.name == "zlib_ng-1.0-cp313-cp313-manylinux2014_x86_64.whl"
    assert (wheel.wheel.sha256, wheel.wheel.size) == ("02", 7)
    assert len(wheel.files) == 2


def test_uv_looks_for_a_python_only_where_it_builds_an_sdist(uv: FakeUv, cache: Cache) -> None:
    resolve(["example"], TARGET, Limits(), cache)
    assert f"--python {sys.executable}" in " ".join(uv.words)
    resolve(["example"], TARGET, Limits(sdists=("temporenc",)), cache)
    assert "--python" not in uv.words


def test_uv_is_asked_for_the_target_and_within_the_limits(uv: FakeUv, cache: Cache) -> None:
    limits = Limits(
        until=datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC),
        sdists=("temporenc",),
        constraints=("attrs<30",),
        preferred={"attrs": "25.1"},
    )
    resolve(["example==1.0"], TARGET, limits, cache)
    words = " ".join(uv.words)
    for expected in (
        "--python-version 3.13",
        "--python-platform x86_64-manylinux_2_28",
        "--only-binary :all: --no-binary temporenc",
        "--exclude-newer 2026-01-02T03:04:05Z",
        "--no-config",
    ):
        assert expected in words
    assert "--no-deps" not in uv.words
    folder = uv.path.parent
    assert (folder / "requirements.in").read_text(encoding="utf-8") == "example==1.0\n"
    assert (folder / "constraints.txt").read_text(encoding="utf-8") == "attrs<30\n"
    assert 'name = "attrs"\nversion = "25.1"' in (folder / "preferred").read_text(encoding="utf-8")


def test_a_moment_with_another_offset_is_asked_for_in_utc(uv: FakeUv, cache: Cache) -> None:
    until = datetime.fromisoformat("2026-01-02T09:00:00+09:00")
    resolve(["example==1.0"], TARGET, Limits(until=until), cache)
    assert "2026-01-02T00:00:00Z" in uv.words


def test_a_failure_of_uv_passes_on_its_words(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cache: Cache
) -> None:
    fake_uv(tmp_path, monkeypatch, "because a depends on b and there is no b", status=1)
    with pytest.raises(LockError, match="because a depends on b") as caught:
        resolve(["a==1"], TARGET, Limits(), cache)
    assert "cannot resolve a==1 for x86_64-manylinux_2_28, Python 3.13" in caught.value.message
    assert "pip compile" not in caught.value.message
    assert not isinstance(caught.value, UnresolvedError)  # uv itself failed
    assert "pkgspec/releases" in str(caught.value.hint)
    assert list((cache.root / "tmp").iterdir()) == []


_UNSOLVED = {
    "no wheel": (
        """error: No solution found when resolving dependencies
  cause: Because old<=1.9 has no usable wheels and only the following versions of old are available:
             old<=1.9
             old>=2
         we can conclude that old<2 cannot be used.
         And because you require old<2, we can conclude that your requirements are unsatisfiable.

hint: Wheels are required for `old` because building from source is disabled
""",
        """\
  Because old<=1.9 has no usable wheels and only the following versions of old are available:
      old<=1.9
      old>=2
  we can conclude that old<2 cannot be used.
  And because you require old<2, we can conclude that your requirements are unsatisfiable.""",
        "old",
    ),
    "a wheel for others": (
        """error: No solution found when resolving dependencies
  cause: Because a-b.c==1 has no wheels with a matching platform tag and you require it
""",
        "  Because a-b.c==1 has no wheels with a matching platform tag and you require it",
        "a-b.c",
    ),
    "no version": (
        """error: No solution found when resolving dependencies
  cause: Because there is no version of a==9 and you require a==9, we can conclude that
""",
        "  Because there is no version of a==9 and you require a==9, we can conclude that",
        "",
    ),
}


@pytest.mark.parametrize("case", _UNSOLVED)
def test_what_has_no_solution_is_told_without_uvs_command_and_advice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cache: Cache, case: str
) -> None:
    said, shown, unbuilt = _UNSOLVED[case]
    fake_uv(tmp_path, monkeypatch, said, status=1)
    with pytest.raises(UnresolvedError) as caught:
        resolve(["old<2", "a==9"], TARGET, Limits(), cache)
    head = "cannot resolve old<2, a==9 for x86_64-manylinux_2_28, Python 3.13:"
    assert caught.value.message == f"{head}\n{shown}"
    assert caught.value.unbuilt == unbuilt


_SAID = {
    "it is down": (
        """error: Request failed after 3 retries in 7.2s
  cause: Failed to fetch: `https://index.test/all/a/`
  cause: error sending request for url (https://index.test/all/a/)
  cause: dns error
  cause: failed to lookup address: Name or service not known
""",
        "https://index.test/all/a/: failed to lookup address: Name or service not known",
    ),
    "it fails": (
        """error: Failed to fetch: https://index.test/all/a/
  cause: HTTP status server error (500 Internal Server Error)
""",
        "https://index.test/all/a/: HTTP status server error (500 Internal Server Error)",
    ),
    "it lets nobody in": (  # for uv, it has nothing then
        """error: No solution found when resolving dependencies
  cause: Because a was not found in the package registry and you require a, we can conclude

hint: An index URL (https://index.test/all) could not be queried due to a lack of valid \
authentication credentials (401 Unauthorized)
""",
        "https://index.test/all: a lack of valid authentication credentials (401 Unauthorized)",
    ),
}


@pytest.mark.parametrize("case", _SAID)
def test_an_index_that_does_not_answer_is_not_one_without_a_solution(
    case: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cache: Cache
) -> None:
    printed, reason = _SAID[case]
    fake_uv(tmp_path, monkeypatch, printed, status=2)
    with pytest.raises(FetchError) as caught:
        resolve(["a==1"], TARGET, Limits(), cache)
    assert caught.value.message == f"the index does not answer: {reason}"


def test_files_are_located_by_pin_without_their_dependencies(uv: FakeUv, cache: Cache) -> None:
    found = locate(["zlib-ng==1.0", "an-sdist==2.0+local"], TARGET, ["an-sdist"], cache)
    assert found["an_sdist-2.0+local.tar.gz"] == "https://index.test/an_sdist-2.0%2Blocal.tar.gz"
    assert len(found) == 3
    assert "--no-deps" in uv.words


def test_nothing_to_locate_asks_nobody(uv: FakeUv, cache: Cache) -> None:
    assert locate([], TARGET, [], cache) == {}
    assert not uv.asked.exists()


def test_a_named_uv_that_does_not_exist_is_a_missing_tool(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cache: Cache
) -> None:
    monkeypatch.setenv("BUILDER_UV", str(tmp_path / "none"))
    with pytest.raises(ToolError, match="BUILDER_UV names"):
        resolve(["a==1"], TARGET, Limits(), cache)
