"""The library check: what counts as bundled, what is depended on, who is to blame."""

from pathlib import PurePosixPath

import pytest

from builder.base.elf_info import ElfInfo
from builder.base.errors import PayloadError
from builder.base.model import Arch
from builder.spec.schema import LibrarySpec
from builder.stage.libraries import RUNTIME, Binary, Needs, Rules, check_libraries

SITE = "lib/python3.13/site-packages"
LIBRARIES = {
    "libc.so.6": LibrarySpec(deb="libc6"),
    "libm.so.6": LibrarySpec(deb="libc6"),
    "libstdc++.so.6": LibrarySpec(deb="libstdc++6"),
    "libgcc_s.so.1": LibrarySpec(deb="libgcc-s1 | libgcc1"),
    "libodd.so.1": LibrarySpec(deb="libodd1", rpm="odd-libs"),
}


def binary(
    path: str,
    *needed: str,
    owner: str = "a-1-cp313-cp313-manylinux_2_28_x86_64.whl",
    runpath: tuple[str, ...] = (),
    **more: object,
) -> Binary:
    """One binary; ``needed`` are sonames, with versions after a colon: libc.so.6:GLIBC_2.17."""
    pairs = [word.partition(":") for word in needed]
    info = {
        "machine": "EM_X86_64",
        "bits": 64,
        "soname": None,
        "needed": tuple(soname for soname, _, _ in pairs),
        "runpath": runpath,
        "interpreter": None,
        "dynamic": True,
        "versions": {soname: tuple(words.split(",")) for soname, _, words in pairs if words},
        **more,
    }
    return Binary(owner=owner, path=PurePosixPath(path), info=ElfInfo(**info))  # type: ignore[arg-type]


def check(*binaries: Binary, foreign: tuple[str, ...] = ()) -> Needs:
    rules = Rules(arch=Arch.AMD64, baseline="2.28", system=LIBRARIES, foreign=foreign)
    return check_libraries(binaries, rules)


def problems(*binaries: Binary) -> list[str]:
    with pytest.raises(PayloadError) as caught:
        check(*binaries)
    assert "[libraries] in pkgspec/project" in str(caught.value.hint)
    return caught.value.message.splitlines()


@pytest.mark.parametrize(
    "runpath", ["$ORIGIN/../a.libs", "${ORIGIN}/../a.libs", "$ORIGIN/../../site-packages/a.libs"]
)
def test_a_library_found_by_origin_is_bundled(runpath: str) -> None:
    user = binary(f"{SITE}/a/ext.so", "libz-1.so.1", runpath=("/nowhere", runpath))
    assert check(user, binary(f"{SITE}/a.libs/libz-1.so.1")).deb == ()


def test_origin_finds_a_library_of_another_wheel_too() -> None:
    user = binary(f"{SITE}/a/ext.so", "libb.so.1", runpath=("$ORIGIN/../b",))
    assert check(user, binary(f"{SITE}/b/libb.so.1", owner="b.whl")).rpm == ()
    elsewhere = binary(f"{SITE}/c/libb.so.1", owner="b.whl")
    assert "needs libb.so.1" in problems(user, elsewhere)[0]


def test_an_absolute_runpath_is_no_promise() -> None:
    user = binary(f"{SITE}/a/ext.so", "libz.so.1", runpath=("/usr/local/lib",))
    assert len(problems(user)) == 1


def test_a_library_that_its_own_wheel_loads_first_is_bundled() -> None:
    user = binary(f"{SITE}/a/ext.so", "libown.so.3")
    by_name = binary(f"{SITE}/a/deep/libown.so.3")
    by_soname = binary(f"{SITE}/a/deep/libown-renamed.so", soname="libown.so.3")
    assert check(user, by_name) == check(user, by_soname)
    other = binary(f"{SITE}/b/libown.so.3", owner="b.whl")
    assert len(problems(user, other)) == 1


def test_a_library_of_the_runtime_is_there_for_all() -> None:
    user = binary(f"{SITE}/a/ext.so", "libpython3.13.so.1.0")
    library = binary("lib/libpython3.13.so.1.0", owner=RUNTIME)
    assert check(user, library).glibc is None


def test_what_the_distribution_brings_is_depended_on_exactly() -> None:
    needs = check(
        binary("a.so", "libc.so.6:GLIBC_2.17,GLIBC_2.4", "libm.so.6:GLIBC_2.2.5"),
        binary("b.so", "libc.so.6:GLIBC_2.28,GLIBC_PRIVATE", "libgcc_s.so.1:GCC_3.0"),
        binary("c.so", "libstdc++.so.6:GLIBCXX_3.4.9,GLIBCXX_3.4.22,CXXABI_1.3", "libodd.so.1"),
    )
    assert needs.glibc == "2.28"
    assert needs.deb == (
        "libc6 (>= 2.28)",
        "libgcc-s1 | libgcc1",
        "libodd1",
        "libstdc++6",
    )
    assert needs.rpm == (
        "libc.so.6()(64bit)",
        "libc.so.6(GLIBC_2.28)(64bit)",
        "libgcc_s.so.1()(64bit)",
        "libgcc_s.so.1(GCC_3.0)(64bit)",
        "libm.so.6()(64bit)",
        "libm.so.6(GLIBC_2.2.5)(64bit)",
        "libstdc++.so.6()(64bit)",
        "libstdc++.so.6(CXXABI_1.3)(64bit)",
        "libstdc++.so.6(GLIBCXX_3.4.22)(64bit)",
        "odd-libs",
    )


def test_versions_are_compared_as_numbers() -> None:
    needs = check(binary("a.so", "libc.so.6:GLIBC_2.9,GLIBC_2.10"))
    assert needs.deb == ("libc6 (>= 2.10)",)
    assert needs.glibc == "2.10"


def test_no_version_of_libc_is_asked_for_that_libc_does_not_have() -> None:
    # libm may have a version that libc has not: then nothing could provide it.
    needs = check(binary("a.so", "libc.so.6:GLIBC_2.17", "libm.so.6:GLIBC_2.27"))
    assert needs.deb == ("libc6 (>= 2.27)",)
    assert "libc.so.6(GLIBC_2.17)(64bit)" in needs.rpm
    assert "libc.so.6(GLIBC_2.27)(64bit)" not in needs.rpm


def test_a_missing_library_is_named_with_its_wheel_and_file() -> None:
    (problem,) = problems(binary(f"{SITE}/a/ext.so", "libssl.so.3", "libc.so.6"))
    assert problem == (
        f"a-1-cp313-cp313-manylinux_2_28_x86_64.whl: {SITE}/a/ext.so needs libssl.so.3, "
        "which is neither bundled nor in a declared dependency"
    )


def test_a_binary_for_another_machine_is_refused() -> None:
    (problem,) = problems(binary("a.so", machine="EM_AARCH64"))
    assert problem.endswith("a.so is for EM_AARCH64, the package for amd64")


def test_a_wheel_above_the_baseline_is_named_and_the_runtime_is_exempt() -> None:
    wheel = binary("a.so", "libc.so.6:GLIBC_2.29", owner="new-1-cp313-linux.whl")
    own = binary("bin/python3.13", "libc.so.6:GLIBC_2.36", owner=RUNTIME)
    assert problems(wheel, own) == [
        "new-1-cp313-linux.whl: a.so needs glibc 2.29, but the release promises 2.28"
    ]
    assert check(own).deb == ("libc6 (>= 2.36)",)


def test_every_problem_is_reported_at_once() -> None:
    found = problems(
        binary("b.so", "libnone.so.1"),
        binary("a.so", machine="EM_386"),
        binary("c.so", "libc.so.6:GLIBC_2.40"),
    )
    assert len(found) == 3
    assert found == sorted(found)


def test_what_runs_elsewhere_is_not_looked_at() -> None:
    odd = binary(f"{SITE}/ai/backend/runner/su-exec.arm64.bin", "libnone.so", machine="EM_AARCH64")
    assert check(odd, foreign=(f"{SITE}/ai/backend/runner/*",)) == Needs(glibc=None, deb=(), rpm=())


def test_a_static_payload_needs_nothing() -> None:
    assert check(binary("a", dynamic=False)) == Needs(glibc=None, deb=(), rpm=())
