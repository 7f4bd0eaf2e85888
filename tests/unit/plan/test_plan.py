"""Plans: the real packages' as golden files, purity, collisions, folders."""

import gzip
from pathlib import Path

import pytest

from builder.base.errors import LockError, SpecError
from builder.base.model import Arch, PackageFormat
from builder.plan import PlanInput, plan_fingerprint, plan_package
from builder.spec import PackageSpec, Spec, load_spec
from tests.helpers.specs import (
    PACKAGES,
    RELEASE,
    SERVICE,
    SOURCES,
    load_example,
    locked,
    make_lock,
    plan_example,
    write_pkgspec,
)


def service_of(tmp_path: Path, text: str) -> tuple[Spec, PackageSpec]:
    packages = {**PACKAGES, "example-service": text}
    spec = load_spec(write_pkgspec(tmp_path, packages=packages))
    return spec, spec.packages["example-service"]


def test_texts_are_rendered_for_their_format(tmp_path: Path) -> None:
    plan = plan_example(load_example(tmp_path))
    deb, rpm = plan.formats[PackageFormat.DEB], plan.formats[PackageFormat.RPM]
    assert deb.scripts["postinst"] == "#!/bin/sh\necho example-service deb\n"
    assert rpm.scripts["post"] == "echo 1.0.2-1 rpm\n"
    assert deb.depends == (
        "example-runtime (>= 1.0.2-1)",
        "example-runtime (<< 1.0.3~)",
        "example-common (= 1.0.2-1)",
        "adduser",
    )
    assert rpm.depends == (
        "example-runtime >= 1.0.2-1",
        "example-runtime < 1.0.3~",
        "example-common = 1.0.2-1",
        "shadow-utils",
    )
    (unit,) = [entry for entry in plan.entries if entry.target.suffix == ".service"]
    assert unit.content == b"[Service]\nExecStart=/opt/backendai/service/bin/run-service\n"


def test_what_a_metapackage_needs_is_of_its_version(tmp_path: Path) -> None:
    text = 'depends-release = ["example-service"]\n'
    meta = f'name = "example"\nsummary = "all"\ndescription = "All."\n{text}'
    packages = {
        **PACKAGES,
        "example": meta,
    }
    release = RELEASE.replace("packages = [", 'packages = ["example", ')
    spec = load_spec(write_pkgspec(tmp_path, packages=packages, releases={"1.0": release}))
    given = PlanInput(project=spec.project, release=spec.release(None), sources=SOURCES)
    plan = plan_package(spec.packages["example"], None, Arch.AMD64, given)
    assert plan.arch is None
    assert plan.formats[PackageFormat.DEB].depends == ("example-service (= 1.0.2-1)",)
    assert plan.formats[PackageFormat.RPM].depends == ("example-service = 1.0.2-1",)


def test_a_target_for_a_compressed_file_gets_one(tmp_path: Path) -> None:
    manual = """
[[payload]]
source = "postinst/tool"
target = "/usr/share/man/man1/tool.1.gz"

[deb]"""
    spec, _ = service_of(tmp_path, SERVICE.replace("[deb]", manual))
    (first,), (second,) = (
        [entry.content for entry in plan_example(spec).entries if entry.target.suffix == ".gz"]
        for _ in range(2)
    )
    assert first is not None
    assert gzip.decompress(first) == SOURCES["postinst/tool"]
    assert first == second


def test_entries_are_sorted_and_have_their_default_modes(tmp_path: Path) -> None:
    plan = plan_example(load_example(tmp_path))
    assert list(plan.entries) == sorted(plan.entries, key=lambda entry: entry.target)
    modes = {str(entry.target): entry.mode for entry in plan.entries}
    assert modes["/usr/lib/systemd/system/example-service.service"] == 0o644
    assert modes["/opt/backendai/service/bin/run-service"] == 0o755
    assert modes["/etc/example/service.conf"] == 0o640


@pytest.mark.parametrize("formats", ["", 'formats = ["rpm"]'])
def test_two_entries_at_one_place_are_refused(tmp_path: Path, formats: str) -> None:
    again = f"""
[[payload]]
source = "postinst/tool"
target = "/etc/example/service.conf"
{formats}

[deb]"""
    spec, _ = service_of(tmp_path, SERVICE.replace("[deb]", again))
    with pytest.raises(SpecError) as caught:
        plan_example(spec)
    assert caught.value.problems == [
        "pkgspec/packages/example-service: two payload entries at /etc/example/service.conf"
    ]


@pytest.mark.parametrize(
    "line", ['kind = "conffile"', 'owner = "example"', 'group = "example"', 'formats = ["deb"]']
)
def test_an_entry_in_the_python_tree_is_a_plain_file_of_roots(tmp_path: Path, line: str) -> None:
    source = 'source = "postinst/run-service"'
    spec, _ = service_of(tmp_path, SERVICE.replace(source, f"{source}\n{line}"))
    with pytest.raises(SpecError, match="bin/run-service lies in the Python tree"):
        plan_example(spec)


FOLDER = """
[[payload]]
source = "share/*"
target = "/usr/share/example"
mode = "0600"

[deb]"""


def test_a_folder_stands_for_every_file_below_it(tmp_path: Path) -> None:
    spec, package = service_of(tmp_path, SERVICE.replace("[deb]", FOLDER))
    more = {"share/a.py": b"a", "share/sub/b.conf.j2": b"{{ version }}", "shared/no": b""}
    given = PlanInput(project=spec.project, release=spec.release(None), sources={**SOURCES, **more})
    plan = plan_package(package, make_lock(spec), Arch.AMD64, given)
    found = {
        str(entry.target): (entry.content, entry.mode)
        for entry in plan.entries
        if entry.target.is_relative_to("/usr/share/example")
    }
    assert found == {
        "/usr/share/example/a.py": (b"a", 0o600),
        "/usr/share/example/sub/b.conf": (b"1.0.2-1", 0o600),
    }


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (SERVICE.replace("[deb]", FOLDER), "share/*: no such folder"),
        (SERVICE.replace("postinst/run-service", "postinst/none"), "postinst/none: no such file"),
        (SERVICE.replace("debian/prerm", "debian/none"), "debian/none: no such file"),
    ],
)
def test_a_source_that_is_not_there_is_named(tmp_path: Path, text: str, problem: str) -> None:
    spec, _ = service_of(tmp_path, text)
    with pytest.raises(SpecError, match="but a payload entry names it") as caught:
        plan_example(spec)
    assert caught.value.message.startswith(problem)


SAMPLE = """
[[sample]]
distribution = "Sample_Files[extra]>=1"
member = "a/b.toml"
target = "/usr/share/example/b.toml"

[deb]"""


def test_a_sample_is_found_in_the_lock_however_it_is_spelled(tmp_path: Path) -> None:
    spec, package = service_of(tmp_path, SERVICE.replace("[deb]", SAMPLE))
    given = PlanInput(project=spec.project, release=spec.release(None), sources=SOURCES)
    distribution = locked("sample-files", "1.5", "sample_files-1.5-py3-none-any.whl")
    lock = make_lock(spec, sample=(distribution,))
    (sample,) = plan_package(package, lock, Arch.AMD64, given).samples
    assert sample.distribution == distribution
    with pytest.raises(LockError, match="lacks sample-files, which a \\[\\[sample\\]\\] names"):
        plan_package(package, make_lock(spec), Arch.AMD64, given)


OWN_SAMPLE = """
[[sample]]
target = "/usr/share/example/b.toml"
source = "postinst/service.conf"
"""


def test_a_release_has_a_file_of_ours_for_a_sample(tmp_path: Path) -> None:
    packages = {
        **PACKAGES,
        "example-service": SERVICE.replace("[deb]", SAMPLE),
    }
    root = write_pkgspec(tmp_path, packages=packages, releases={"1.0": RELEASE + OWN_SAMPLE})
    plan = plan_example(load_spec(root))
    assert plan.samples == ()
    (entry,) = [entry for entry in plan.entries if entry.target.name == "b.toml"]
    assert entry.content == SOURCES["postinst/service.conf"]
    assert entry.mode == 0o644


def test_a_python_without_a_lock_asks_for_one(tmp_path: Path) -> None:
    spec = load_example(tmp_path)
    given = PlanInput(project=spec.project, release=spec.release(None), sources=SOURCES)
    with pytest.raises(SpecError, match="example-service: has a Python and no lock"):
        plan_package(spec.packages["example-service"], None, Arch.AMD64, given)


def test_the_fingerprint_sees_every_byte_of_a_text(tmp_path: Path) -> None:
    spec = load_example(tmp_path)
    package, lock = spec.packages["example-service"], make_lock(spec)
    prints = set()
    for name in ("", "postinst/service.conf", "debian/prerm", "rpm/posttrans"):
        sources = {**SOURCES, **({name: SOURCES[name] + b"#"} if name else {})}
        given = PlanInput(project=spec.project, release=spec.release(None), sources=sources)
        prints.add(plan_fingerprint(plan_package(package, lock, Arch.AMD64, given)))
    assert len(prints) == 4
