"""The import of every module of an environment."""

import sys
from pathlib import Path

import pytest

from builder.stage.imports import Environment, compare, find_modules, import_modules


def write(site: Path, **files: str) -> None:
    for name, text in files.items():
        path = site / name.replace("__of__", "/").replace("_dot_", ".")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")


def outcome(
    site: Path, work: Path, *, seconds: float = 30, wait: float = 120, jobs: int = 2
) -> dict[str, str]:
    environment = Environment(python=Path(sys.executable), sites=[site], seconds=seconds, wait=wait)
    return import_modules(environment, find_modules([site]), work, jobs=jobs)


@pytest.fixture
def site(tmp_path: Path) -> Path:
    folder = tmp_path / "site"
    folder.mkdir()
    return folder


def test_modules_are_found_by_their_files(site: Path, tmp_path: Path) -> None:
    for name in (
        "one.py",
        "package/__init__.py",
        "package/__main__.py",
        "package/__pycache__/one.cpython-313.pyc",
        "package/data.json",
        "namespace/part.py",
        "migrations/0001_first.py",
        "package-1.0.dist-info/RECORD",
        "package.libs/inside.py",
    ):
        (site / name).parent.mkdir(parents=True, exist_ok=True)
        (site / name).touch()
    for name, data in (
        ("fast.cpython-313-x86_64-linux-gnu.so", b"PyInit_fast"),
        ("stable.abi3.so", b"PyInit_stable"),
        ("plain.so", b"PyInit_plain"),
        ("library.so", b"PyInit_other"),
        ("loaded.abi3.so", b""),
        ("libz.so.1", b"PyInit_libz"),
    ):
        (site / name).write_bytes(data)
    other = tmp_path / "other"
    write(other, namespace__of__more_dot_py="")
    assert find_modules([site, other]) == [
        "fast",
        "migrations.0001_first",
        "namespace.more",
        "namespace.part",
        "one",
        "package",
        "plain",
        "stable",
    ]


def test_every_kind_of_end_is_an_error_and_the_rest_goes_on(site: Path, tmp_path: Path) -> None:
    write(
        site,
        a_good_dot_py="",
        b_missing_dot_py="import no_such_thing",
        c_exits_dot_py="raise SystemExit(3)",
        d_ends_dot_py="import os; os._exit(0)",
        e_killed_dot_py="import os; os.kill(os.getpid(), 9)",
        f_path_dot_py="raise ValueError(f'{__file__} {object()}')",
        g_slow_dot_py="import time; time.sleep(60)",
        h_thread_dot_py="import threading; threading.Timer(60, print).start()",
        i_noisy_dot_py="print('{not json'); import sys; sys.stderr.write('x'); sys.stdin.read()",
    )
    found = outcome(site, tmp_path / "work", seconds=1, wait=2)
    assert list(found) == find_modules([site])
    assert {name for name, error in found.items() if not error} == {
        "a_good",
        "h_thread",
        "i_noisy",
    }
    assert found["b_missing"] == "ModuleNotFoundError: No module named 'no_such_thing'"
    assert found["c_exits"] == "SystemExit: 3"
    assert found["d_ends"] == "ended the interpreter: status 0"
    assert found["e_killed"] == "ended the interpreter: signal 9"
    assert found["f_path"] == "ValueError: SITE/f_path.py <object object at 0x>"
    assert found["g_slow"] == "did not end within 2 s"


def test_a_limit_is_of_the_processors_time(site: Path, tmp_path: Path) -> None:
    write(
        site,
        busy_dot_py="while True: pass",
        waits_dot_py="import time; time.sleep(1.5)",  # as on a busy machine
    )
    found = outcome(site, tmp_path / "work", seconds=1, wait=120)
    assert found == {"busy": "took more than 1 s of the processor", "waits": ""}


def test_a_module_that_fails_only_after_another_one_is_imported(site: Path, tmp_path: Path) -> None:
    write(
        site,
        first_dot_py="import builtins; builtins.spoilt = True",
        second_dot_py="import builtins; assert not hasattr(builtins, 'spoilt')",
    )
    assert outcome(site, tmp_path / "work", jobs=1) == {"first": "", "second": ""}


def test_parts_of_a_namespace_in_two_folders_are_seen(site: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    write(site, space__of__a_dot_py="import space.b")
    write(other, space__of__b_dot_py="")
    environment = Environment(python=Path(sys.executable), sites=[site, other])
    assert import_modules(environment, ["space.a"], tmp_path / "work", jobs=1) == {"space.a": ""}


def test_a_removed_module_is_no_difference() -> None:
    before = {"a": "", "b": "OSError: gone", "c": "", "d": ""}
    after = {"a": "", "b": "OSError: gone", "c": "ImportError: x"}
    assert compare(before, after) == ["c: ImportError: x; before: imported"]
