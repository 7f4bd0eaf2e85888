"""Making a package again: identical, different, or not to be compared."""

import json
import os
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from unittest.mock import patch

import pytest
from click.testing import CliRunner, Result

from builder.base.cache import open_cache
from builder.base.errors import ExitCode, PayloadError, ToolError, VerifyError
from builder.base.files import hash_file
from builder.base.run import find_tool
from builder.cli import main
from builder.inspect.content import content_digest
from builder.jobs.reproduce import Again, ReproduceRequest, differences, reproduce
from builder.repo.attest import load_provenance
from builder.runtime.model import Runtime, RuntimeRequest
from builder.spec import load_spec
from tests.helpers.builds import build_project, environment, fake_runtime, write_buildable
from tests.helpers.package_files import DebFile, Payload

CONTROL = (
    "Package: example-common\nVersion: 1.0.2-1\nArchitecture: all\n"
    "Maintainer: A <a@example.org>\nDescription: a\n"
)


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A project that builds with the real nfpm, and has built."""
    try:
        real = find_tool("nfpm", hint="")
    except ToolError:
        pytest.skip("needs nfpm")
    write_buildable(tmp_path)
    shutil.copyfile(real.resolve(), tmp_path / "nfpm/nfpm")
    monkeypatch.setenv("BUILDER_NFPM", str(tmp_path / "nfpm/nfpm"))

    def provide(_wanted: RuntimeRequest, *_: object, **_more: object) -> Runtime:
        return fake_runtime(tmp_path)

    with patch("builder.jobs.runtimes.provide_runtime", provide):
        build_project(tmp_path)
        yield tmp_path


def package_of(root: Path, pattern: str) -> Path:
    (path,) = (root / "dist").glob(pattern)
    return path


def again(root: Path, package: Path, work: str = "work") -> ReproduceRequest:
    return ReproduceRequest(
        package=package,
        provenance=load_provenance(package, None, None),
        work=root / work,
        jobs=1,
        compile_runtime=False,
    )


def make(root: Path, request: ReproduceRequest) -> Again:
    spec, cache = load_spec(root / "pkgspec"), open_cache(root / "cache")
    return reproduce(request, spec, root, cache)


@pytest.mark.parametrize(
    "pattern", ["example-service_*.deb", "example-service-1*.rpm", "example-common_*.deb"]
)
def test_the_same_inputs_give_the_same_package(root: Path, pattern: str) -> None:
    package = package_of(root, pattern)
    before = os.umask(0o077)
    try:
        found = make(root, again(root, package))
    finally:
        os.umask(before)
    assert found.identical
    assert found.differences == ()
    assert found.made.read_bytes() == package.read_bytes()
    derived = {path.name for path in (root / "work/cache/derived").iterdir()}
    assert "stage" in derived  # made anew, not taken from the cache


def test_a_package_that_is_not_made_again_is_said_with_its_differences(root: Path) -> None:
    package = package_of(root, "example-common_*.deb")
    path = package.with_name(f"{package.name}.provenance.json")
    payload = [Payload(path="/usr/bin/backdoor", content=b"x", mode=0o100755)]
    package.write_bytes(DebFile(control=CONTROL, payload=payload).build())
    statement = json.loads(path.read_text(encoding="utf-8"))
    digest = {"sha256": hash_file(package), "contentSha256": content_digest(package)}
    statement["subject"][0]["digest"] = digest
    rows = statement["predicate"]["buildDefinition"]["resolvedDependencies"]
    rows.insert(0, {"name": "project", "digest": {"gitCommit": "12" * 20}})
    path.write_text(json.dumps(statement), encoding="utf-8")
    found = make(root, again(root, package))
    assert not found.identical
    assert found.differences[0].startswith(f"it was made at commit {'12' * 20}, and this")
    if shutil.which("diffoscope") is None:
        assert "/usr/bin/backdoor: only in the first" in found.differences


def test_what_differs_is_named(tmp_path: Path) -> None:
    paths = []
    for number, (mode, content) in enumerate([(0o100644, b"1"), (0o100755, b"12")]):
        payload = [Payload(path="/usr/share/a", content=content, mode=mode)]
        paths.append(tmp_path / f"{number}.deb")
        paths[-1].write_bytes(DebFile(control=CONTROL, payload=payload).build())
    if shutil.which("diffoscope") is None:
        assert list(differences(*paths)) == [
            "/usr/share/a: -rw-r--r-- root:root 1 bytes became -rwxr-xr-x root:root 2 bytes"
        ]
    assert list(differences(paths[0], paths[0])) == []


def test_other_inputs_are_named_and_nothing_is_compared(root: Path) -> None:
    package = package_of(root, "example-service_*.deb")
    request = again(root, package)
    statement = json.loads(json.dumps(request.provenance.statement))
    rows = statement["predicate"]["buildDefinition"]["resolvedDependencies"]
    wheel = next(row for row in rows if row["name"].endswith(".whl"))
    wheel["digest"]["sha256"] = "cd" * 32
    rows.insert(0, {"name": "project", "digest": {"gitCommit": "12" * 20}})
    provenance = replace(request.provenance, statement=statement)
    with pytest.raises(VerifyError, match="from other inputs: example_service-1") as caught:
        make(root, replace(request, provenance=provenance))
    assert "12" * 20 in str(caught.value.hint)


def test_parameters_that_nobody_can_build_by_are_refused(root: Path) -> None:
    request = again(root, package_of(root, "example-service_*.deb"))
    statement = json.loads(json.dumps(request.provenance.statement))
    del statement["predicate"]["buildDefinition"]["externalParameters"]["profile"]
    provenance = replace(request.provenance, statement=statement)
    with pytest.raises(VerifyError, match="no parameters to build by: 'profile'"):
        make(root, replace(request, provenance=provenance))


def test_another_package_than_the_provenances_is_refused(root: Path) -> None:
    package = package_of(root, "example-service_*.deb")
    other = package_of(root, "example-common_*.deb")
    path = other.with_name(f"{other.name}.provenance.json")
    with pytest.raises(PayloadError, match="is not the package that the provenance is of"):
        load_provenance(package, path, None)


def test_the_command_says_identical(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in environment(root).items():
        if name != "BUILDER_NFPM":
            monkeypatch.setenv(name, value)
    monkeypatch.setattr("builder.cli.provenance.PROJECT", root)
    monkeypatch.setattr("builder.cli.provenance.project_spec", lambda: load_spec(root / "pkgspec"))
    package = package_of(root, "example-common_*.deb")

    def run(*words: object) -> Result:
        return CliRunner().invoke(main, ["reproduce", *map(str, words)])

    done = run(package, "--keep", root / "kept", "--jobs", 1)
    assert done.exit_code == 0, done.output
    assert f"identical: {package.name}" in done.output
    assert (root / "kept" / package.name).read_bytes() == package.read_bytes()
    assert list((root / "cache/tmp").iterdir()) == []
    refused = run(package, "--keyring", root / "absent.asc")
    assert refused.exit_code in (ExitCode.USAGE, ExitCode.VERIFY)
