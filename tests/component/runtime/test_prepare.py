"""A raw CPython tree becomes a runtime: pruned, relocatable, the same every time."""

import ast
import configparser
import os
import re
import stat
import sys
from pathlib import Path

import pytest

from builder.base import run
from builder.base.errors import RuntimeUnavailableError
from builder.runtime import prepare
from builder.runtime.prepare import prepare_tree, relocate_value
from tests.helpers.elves import Elf
from tests.helpers.trees import FOREIGN, HOST, MINOR, VERSION, write_tree

LIB = f"lib/python{MINOR}"
PIP = f"{LIB}/site-packages/pip-26.2.dist-info"
UNWANTED = (
    "include/python.h",
    "share/man/man1/python3.1",
    "share/terminfo/x/xterm",
    "lib/pkgconfig/python3.pc",
    "lib/libpython.a",
    f"lib/libpython{MINOR}.so.1.0",
    "lib/tcl9.0/init.tcl",
    "lib/tk9.0/tk.tcl",
    "lib/itcl4.3/itcl.tcl",
    "lib/thread3.0/thread.tcl",
    "lib/libtcl9.0.so",
    f"{LIB}/config-{MINOR}-x86_64-linux-gnu/Makefile",
    f"{LIB}/tkinter/__init__.py",
    f"{LIB}/idlelib/idle.py",
    f"{LIB}/turtle.py",
    f"{LIB}/ensurepip/__init__.py",
    f"{LIB}/unittest/test/test_case.py",
    f"{LIB}/lib2to3/tests/data.py",
    f"{LIB}/lib-dynload/_tkinter.so",
    f"{LIB}/lib-dynload/_testcapi.so",
    f"{LIB}/lib-dynload/xxlimited.so",
    f"{LIB}/__pycache__/os.cpython-313.opt-1.pyc",
    f"{LIB}/site-packages/setuptools/__init__.py",
    f"{LIB}/site-packages/setuptools-65.5.0.dist-info/RECORD",
    "bin/2to3",
    "bin/idle3",
    "bin/pydoc3",
    f"bin/python{MINOR}-config",
    f"bin/pip{MINOR}",
)
WANTED = (
    f"{LIB}/os.py",
    f"{LIB}/unittest/case.py",
    f"{LIB}/lib2to3/main.py",
    f"{LIB}/lib-dynload/_ssl.so",
    f"{LIB}/site-packages/pip/__init__.py",
    "share/licenses/cpython/LICENSE",
)


def raw_tree(folder: Path) -> Path:
    tree = write_tree(folder)
    for name in (*UNWANTED, *WANTED):
        path = tree / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("")
    (tree / PIP).mkdir()
    (tree / PIP / "RECORD").write_text(
        f"../../../bin/pip,sha256=x,10\npip/__init__.py,,\n{PIP.rpartition('/')[2]}/RECORD,,\n"
    )
    return tree


def prepared(folder: Path, *, python: Path | None = Path(sys.executable)) -> Path:
    tree = raw_tree(folder)
    prepare_tree(tree, version=VERSION, arch=HOST, python=python, jobs=2)
    return tree


def test_what_goes_and_what_stays(tmp_path: Path) -> None:
    tree = prepared(tmp_path / "tree")
    assert [name for name in UNWANTED if (tree / name).exists()] == []
    assert [name for name in WANTED if not (tree / name).is_file()] == []
    assert sorted(path.name for path in (tree / "bin").iterdir()) == [
        "python",
        "python3",
        f"python{MINOR}",
    ]
    assert (tree / "bin" / "python3").readlink() == Path(f"python{MINOR}")
    assert (tree / "bin" / "python").readlink() == Path(f"python{MINOR}")


def test_an_empty_share_goes_too(tmp_path: Path) -> None:
    tree = write_tree(tmp_path / "tree")
    (tree / "share" / "man").mkdir(parents=True)
    prepare_tree(tree, version=VERSION, arch=HOST, python=None)
    assert not (tree / "share").exists()


def test_libpython_stays_where_the_interpreter_needs_it(tmp_path: Path) -> None:
    tree = raw_tree(tmp_path / "tree")
    library = f"libpython{MINOR}.so.1.0"
    (tree / "bin" / f"python{MINOR}").write_bytes(
        Elf(machine=HOST.elf_machine, needed=[library]).write()
    )
    prepare_tree(tree, version=VERSION, arch=HOST, python=None)
    assert (tree / "lib" / library).exists()


def test_pip_does_not_list_what_is_gone(tmp_path: Path) -> None:
    record = (prepared(tmp_path / "tree") / PIP / "RECORD").read_text()
    assert record == f"pip/__init__.py,,\n{PIP.rpartition('/')[2]}/RECORD,,\n"


def test_modes_and_hard_links_are_settled(tmp_path: Path) -> None:
    tree = raw_tree(tmp_path / "tree")
    os.link(tree / LIB / "os.py", tree / LIB / "twin.py")
    (tree / LIB / "os.py").chmod(0o600)
    (tree / LIB / "lib-dynload" / "_ssl.so").chmod(0o777)
    (tree / LIB / "json").chmod(0o700)
    prepare_tree(tree, version=VERSION, arch=HOST, python=None)
    for path in tree.rglob("*"):
        if path.is_symlink():
            continue
        runs = path.is_dir() or path.parent == tree / "bin"
        assert stat.S_IMODE(path.stat().st_mode) == (0o755 if runs else 0o644), path
        assert path.is_dir() or path.stat().st_nlink == 1, path
    assert (tree / LIB / "twin.py").read_bytes() == (tree / LIB / "os.py").read_bytes()


def test_the_same_bytes_every_time(tmp_path: Path) -> None:
    trees = [prepared(tmp_path / name) for name in ("one", "another")]
    first, another = (
        {path.relative_to(tree): path.read_bytes() for path in tree.rglob("*") if path.is_file()}
        for tree in trees
    )
    assert first == another
    assert any(path.suffix == ".pyc" for path in first)


def test_without_an_interpreter_there_is_no_bytecode(tmp_path: Path) -> None:
    tree = prepared(tmp_path / "tree", python=None)
    assert list(tree.rglob("*.pyc")) == []


def test_pip_is_kept_out(tmp_path: Path) -> None:
    marks = configparser.ConfigParser(interpolation=None)
    marks.read(prepared(tmp_path / "tree") / LIB / "EXTERNALLY-MANAGED")
    error = marks["externally-managed"]["Error"]
    assert "belongs to a Backend.AI package" in error
    assert "next upgrade" in error
    assert "backendai-accelerator-*" in error


def test_another_architecture_is_refused(tmp_path: Path) -> None:
    tree = raw_tree(tmp_path / "tree")
    program = tree / "bin" / f"python{MINOR}"
    program.write_bytes(Elf(machine=FOREIGN.elf_machine, kind="ET_EXEC").write())
    with pytest.raises(RuntimeUnavailableError) as caught:
        prepare_tree(tree, version=VERSION, arch=HOST, python=None)
    assert f"is built for {FOREIGN.elf_machine}, but {HOST.elf_machine}" in caught.value.message


@pytest.mark.parametrize("missing", [f"bin/python{MINOR}", f"{LIB}/os.py"])
def test_what_is_no_cpython_is_refused(tmp_path: Path, missing: str) -> None:
    tree = write_tree(tmp_path / "tree")
    (tree / missing).unlink()
    with pytest.raises(RuntimeUnavailableError, match=f"{re.escape(missing)} is missing"):
        prepare_tree(tree, version=VERSION, arch=HOST, python=None)


# sysconfig

PREFIXES = ("/install",)
BUILDS = ("/build/Python-3.13", "/tools")


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("/install", "@PREFIX@"),
        ("/install/lib/python3.13", "@PREFIX@/lib/python3.13"),
        ("/install /install/lib", "@PREFIX@ @PREFIX@/lib"),
        ("-L/install/lib -I/install/include", "-L@PREFIX@/lib -I@PREFIX@/include"),
        ("-Wl,-rpath,/install/lib", "-Wl,-rpath,@PREFIX@/lib"),
        ("'--prefix=/install' '--x'", "'--prefix=@PREFIX@' '--x'"),
        ("/usr/bin/install -c -m 644", "/usr/bin/install -c -m 644"),
        ("/installed/x ./install", "/installed/x ./install"),
        ("/build/Python-3.13", "."),
        ("/build/Python-3.13/lcov", "./lcov"),
        ("/build/Python-3.135", "/build/Python-3.135"),
        ("-O3 -ffile-prefix-map=/build/Python-3.13=. -Wall", "-O3 -Wall"),
        ("-Wall -I/tools/deps/include -O3", "-Wall -O3"),
        ("'CFLAGS=-I/tools/deps/include' 'X=1'", "'CFLAGS=' 'X=1'"),
        ("/tools/clang-linux64/bin/clang -pthread", "clang -pthread"),
        ("-fvisibility=hidden", "-fvisibility=hidden"),
        ("", ""),
    ],
)
def test_values_lose_the_build_and_mark_the_prefix(value: str, expected: str) -> None:
    assert relocate_value(value, prefixes=PREFIXES, builds=BUILDS) == expected


def test_sysconfig_follows_the_tree(tmp_path: Path) -> None:
    tree = raw_tree(tmp_path / "tree")
    data = tree / LIB / "_sysconfigdata__linux_x86_64-linux-gnu.py"
    data.write_text(
        "# system configuration generated and used by the sysconfig module\n"
        "build_time_vars = {'prefix': '/somewhere', 'LIBDIR': '/somewhere/lib', 'N': 1,\n"
        " 'abs_srcdir': '/home/me/src', 'CFLAGS': '-O3 -I/home/me/src/Include',\n"
        " 'CC': '/tools/bin/gcc', 'INCLUDEPY': '/install/include', 'EXT_SUFFIX': '.x.so',\n"
        " 'ARGS': \"'--a' 'DIR=/cache/sysroot/usr/lib:/cache/sysroot/usr/share'\"}\n"
    )
    prepare_tree(tree, version=VERSION, arch=HOST, python=None, builds=["/cache/sysroot"])
    moved = tree.rename(tmp_path / "elsewhere")
    script = f"import sys; sys.base_prefix = {os.fspath(moved)!r}\n"
    script += f"exec(open({os.fspath(moved / LIB / data.name)!r}).read()); print(build_time_vars)"
    answer = run.run([sys.executable, "-I", "-S", "-c", script])
    assert ast.literal_eval(answer.stdout) == {
        "prefix": os.fspath(moved),
        "LIBDIR": f"{moved}/lib",
        "N": 1,
        "abs_srcdir": ".",
        "CFLAGS": "-O3",
        "CC": "gcc",
        "INCLUDEPY": f"{moved}/include",
        "EXT_SUFFIX": ".x.so",
        "ARGS": "'--a' 'DIR=./usr/lib:./usr/share'",
    }


@pytest.mark.parametrize("text", ["x = 1\n", "build_time_vars = dict(a=1)\n"])
def test_an_odd_sysconfig_is_refused(tmp_path: Path, text: str) -> None:
    tree = raw_tree(tmp_path / "tree")
    (tree / LIB / "_sysconfigdata_x.py").write_text(text)
    with pytest.raises(RuntimeUnavailableError, match="build_time_vars is not the plain table"):
        prepare_tree(tree, version=VERSION, arch=HOST, python=None)


# CA certificates


class Host:
    """A host's certificates below a folder, and what a start of Python makes of them."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.script = root / "start.py"
        text = prepare._SITECUSTOMIZE.read_text()
        self.script.write_text(re.sub(r'"(/etc/)', rf'"{root}\1', text))

    def put(self, *names: str) -> None:
        for name in names:
            path = self.root / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text("")

    def start(self, **environment: str) -> str:
        script = f"import os; exec(open({os.fspath(self.script)!r}).read());"
        script += "print(os.environ.get('SSL_CERT_FILE', ''))"
        command = ["env", "-i", *(f"{name}={value}" for name, value in environment.items())]
        answer = run.run([*command, sys.executable, "-I", "-S", "-c", script]).stdout.strip()
        return answer.removeprefix(f"{self.root}/")


@pytest.fixture
def host(tmp_path: Path) -> Host:
    return Host(tmp_path)


DEBIAN = "etc/ssl/certs/ca-certificates.crt"
RED_HAT = "etc/pki/tls/cert.pem"
EXTRACTED = "etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem"
SUSE = "etc/ssl/ca-bundle.pem"


@pytest.mark.parametrize("bundle", [DEBIAN, RED_HAT, EXTRACTED, SUSE])
def test_each_family_has_its_bundle_found(host: Host, bundle: str) -> None:
    host.put(bundle)
    assert host.start() == bundle


def test_the_real_bundle_is_better_than_the_link_to_it(host: Host) -> None:
    host.put(RED_HAT, EXTRACTED)
    assert host.start() == EXTRACTED


@pytest.mark.parametrize("own", ["etc/ssl/cert.pem", "etc/ssl/certs/1d3472b9.0"])
def test_openssl_is_left_alone_where_it_finds_some(host: Host, own: str) -> None:
    host.put(DEBIAN, own)
    assert host.start() == ""


def test_the_environment_decides(host: Host) -> None:
    host.put(DEBIAN)
    assert host.start(SSL_CERT_DIR="/mine") == ""
    assert host.start(SSL_CERT_FILE="/mine.pem") == "/mine.pem"


def test_a_host_without_certificates_starts(host: Host) -> None:
    assert host.start() == ""


def test_where_this_openssl_looks_is_written_down(tmp_path: Path) -> None:
    python = tmp_path / "python"
    python.write_text("#!/bin/sh\necho /usr/lib/ssl/cert.pem /usr/lib/ssl/certs\n")
    python.chmod(0o755)
    target = tmp_path / "sitecustomize.py"
    prepare._write_sitecustomize(target, python)
    assert '_CAFILE = "/usr/lib/ssl/cert.pem"\n_CAPATH = "/usr/lib/ssl/certs"\n' in (
        target.read_text()
    )
