"""What compiling CPython needs is checked first, and reported with the install command."""

import os
import shutil
from pathlib import Path

import pytest

from builder.base.errors import ToolError
from builder.runtime import buildhost
from builder.runtime.buildhost import ensure_build_host, find_missing, install_commands

DEBIAN = {"ID": "debian", "VERSION_ID": "12"}
ROCKY = {"ID": "rocky", "ID_LIKE": "rhel centos fedora", "VERSION_ID": "9.4"}

# A compiler that has every header but those named in $LACKS.
COMPILER = """#!/bin/sh
input=$(cat)
for header in $LACKS; do
    case $input in *"<$header>"*) exit 1 ;; esac
done
"""


class Bench:
    """A PATH of its own, with the programs put there."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.folder = folder
        self.monkeypatch = monkeypatch
        folder.mkdir()
        for name in ("sh", "cat", "touch"):
            (folder / name).symlink_to(shutil.which(name) or "/bin/false")
        monkeypatch.setenv("PATH", os.fspath(folder))

    def put(self, *names: str, text: str = "#!/bin/sh\n") -> None:
        for name in names:
            path = self.folder / name
            path.write_text(text)
            path.chmod(0o755)

    def lack(self, *headers: str) -> None:
        """Have everything but these headers."""
        self.put("make", "strip", "pkg-config")
        self.put("cc", text=COMPILER.replace("$LACKS", " ".join(headers) or "''"))

    def host(self, release: dict[str, str], *, root: bool = True) -> None:
        self.monkeypatch.setattr(buildhost, "read_os_release", lambda: release)
        self.monkeypatch.setattr("os.geteuid", lambda: 0 if root else 1000)


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Bench:
    return Bench(tmp_path / "bin", monkeypatch)


def test_a_host_with_everything(bench: Bench) -> None:
    bench.lack()
    assert find_missing() == []
    ensure_build_host(install=False)


def test_headers_are_looked_for_one_by_one(bench: Bench) -> None:
    bench.lack("ffi.h", "uuid/uuid.h")
    (bench.folder / "make").unlink()
    assert [dependency.name for dependency in find_missing()] == ["make", "libffi", "libuuid"]


@pytest.mark.parametrize("compiler", ["", "#!/bin/sh\nexit 1\n"])
def test_without_a_working_compiler_all_libraries_are_asked_for(
    bench: Bench, compiler: str
) -> None:
    if compiler:
        bench.put("cc", text=compiler)
    names = [dependency.name for dependency in find_missing()]
    assert names[:4] == ["a C compiler", "make", "strip", "pkg-config"]
    assert len(names) == 13


def test_one_command_for_debian_and_one_for_red_hat(bench: Bench) -> None:
    bench.lack("editline/readline.h", "lzma.h")
    missing = find_missing()
    assert install_commands(missing, DEBIAN) == [
        ["apt-get", "update"],
        [
            *("apt-get", "install", "--yes", "--no-install-recommends"),
            *("liblzma-dev", "libedit-dev"),
        ],
    ]
    assert install_commands(missing, {"ID": "mint", "ID_LIKE": "ubuntu"})[0][0] == "apt-get"
    assert install_commands(missing, ROCKY) == [
        ["dnf", "install", "--assumeyes", "xz-devel", "libedit-devel"]
    ]
    assert install_commands(missing, {"ID": "plan9"}) == []


@pytest.mark.parametrize(("install", "root"), [(False, True), (True, False)])
def test_the_message_has_the_command(bench: Bench, *, install: bool, root: bool) -> None:
    bench.lack("editline/readline.h", "lzma.h")
    bench.host(DEBIAN, root=root)
    with pytest.raises(ToolError) as caught:
        ensure_build_host(install=install)
    assert caught.value.message == "compiling CPython needs liblzma, libedit"
    assert caught.value.hint == (
        "as root: apt-get update && apt-get install --yes --no-install-recommends"
        " liblzma-dev libedit-dev"
    )


def test_an_unknown_distribution_gets_the_names(bench: Bench) -> None:
    bench.lack("ffi.h")
    bench.host({"ID": "plan9"})
    with pytest.raises(ToolError) as caught:
        ensure_build_host(install=True)
    assert "Debian calls them libffi-dev" in (caught.value.hint or "")


def test_root_on_debian_gets_it_installed(bench: Bench, tmp_path: Path) -> None:
    bench.lack("ffi.h")
    bench.host(DEBIAN)
    calls = tmp_path / "calls"
    # The second call puts a compiler there that lacks nothing.
    bench.put(
        "apt-get",
        text=f'#!/bin/sh\necho "$DEBIAN_FRONTEND $*" >> {calls}\n'
        f'[ "$1" = update ] || echo "#!/bin/sh" > {bench.folder}/cc\n',
    )
    ensure_build_host(install=True)
    assert calls.read_text().splitlines() == [
        "noninteractive update",
        "noninteractive install --yes --no-install-recommends libffi-dev",
    ]


def test_an_installation_that_does_not_help_is_reported(bench: Bench) -> None:
    bench.lack("ffi.h")
    bench.host(DEBIAN)
    bench.put("apt-get")
    with pytest.raises(ToolError, match="compiling CPython needs libffi"):
        ensure_build_host(install=True)
