"""The spec: what is refused and in which words, and that adding to it needs data alone."""

from pathlib import Path

import pytest

from builder.base.errors import SpecError, UsageError
from builder.base.paths import PKGSPEC
from builder.repo.config import SCHEMA_MODELS
from builder.spec import Spec, load_spec
from builder.spec.jsonschema import publish, schema_files, stale_schemas
from tests.helpers.specs import (
    COMMON,
    PACKAGES,
    PROJECT,
    RELEASE,
    SERVICE,
    load_example,
    plan_example,
    write_pkgspec,
)


def problems_of(root: Path) -> list[str]:
    with pytest.raises(SpecError) as caught:
        load_spec(root)
    assert caught.value.hint
    return caught.value.problems


def package_problems(tmp_path: Path, text: str) -> list[str]:
    packages = {**PACKAGES, "example-service": text}
    return problems_of(write_pkgspec(tmp_path, packages=packages))


def test_the_real_spec_loads(real_spec: Spec) -> None:
    assert real_spec.release(None).name == "26.9"
    assert real_spec.project.common in real_spec.packages


def test_published_schemas_are_current(tmp_path: Path) -> None:
    assert stale_schemas(PKGSPEC / "schema", SCHEMA_MODELS) == []
    assert sorted(stale_schemas(tmp_path, SCHEMA_MODELS)) == sorted(schema_files(SCHEMA_MODELS))
    publish(tmp_path, SCHEMA_MODELS)
    assert stale_schemas(tmp_path, SCHEMA_MODELS) == []


@pytest.mark.parametrize(
    ("was", "becomes", "problem"),
    [
        ("depends-common", "depend-common", "'depend-common' (did you mean 'depends-common'?)"),
        (
            "requirement =",
            "requirementt =",
            "'requirementt' in 'python' (did you mean 'requirement'?)",
        ),
        (
            'formats = ["rpm"]',
            'format = ["rpm"]',
            "'format' in 'payload.5' (did you mean 'formats'?)",
        ),
        (
            "scripts = { postinst",
            "scripts = { postins",
            "'postins' in 'deb.scripts' (did you mean 'postinst'?)",
        ),
        # The Python spelling of a key is not TOML's.
        ("depends-common", "depends_common", "'depends_common' (did you mean 'depends-common'?)"),
    ],
)
def test_an_unknown_key_is_refused_with_the_nearest_one(
    tmp_path: Path, was: str, becomes: str, problem: str
) -> None:
    found = package_problems(tmp_path, SERVICE.replace(was, becomes, 1))
    assert any(
        text.startswith("pkgspec/packages/example-service: unknown key") and problem in text
        for text in found
    ), found


def test_an_unknown_key_like_no_other_lists_the_known_ones(tmp_path: Path) -> None:
    (problem,) = package_problems(tmp_path, SERVICE.replace("[rpm]", "[rpm]\nxyzzy = 1"))
    assert "unknown key 'xyzzy' in 'rpm' (known: conflicts, depends" in problem


def test_every_problem_of_every_file_is_reported_at_once(tmp_path: Path) -> None:
    folder = write_pkgspec(
        tmp_path,
        packages={
            "example-common": COMMON.replace("summary", "summaryy"),
            "example-service": SERVICE.replace("0750", "rwx").replace('"/var', '"var'),
        },
        releases={"1.0": RELEASE.replace("1.0.2", "one", 1)},
        project=PROJECT.replace("vendor", "vendorr"),
    )
    found = problems_of(folder)
    expected = [
        "pkgspec/packages/example-common: 'summary' is missing",
        "pkgspec/packages/example-common: unknown key 'summaryy' (did you mean 'summary'?)",
        "pkgspec/packages/example-service: 'payload.2.mode'",
        "pkgspec/packages/example-service: 'payload.2.target': must be an absolute path",
        "pkgspec/project: unknown key 'vendorr' (did you mean 'vendor'?)",
        "pkgspec/project: 'vendor' is missing",
        "pkgspec/releases/1.0: 'version': not a version by PEP 440 (value: 'one')",
    ]
    for start in expected:
        assert any(text.startswith(start) for text in found), (start, found)


def test_a_file_that_is_broken_is_not_said_to_be_absent(tmp_path: Path) -> None:
    folder = write_pkgspec(
        tmp_path,
        packages={
            **PACKAGES,
            "example-common": COMMON + "[",
            "example-service": SERVICE,
        },
        releases={
            "1.0": RELEASE + "[",
            "2.0": RELEASE.replace('"1.0"', '"2.0"').replace("true", "false"),
        },
    )
    found = problems_of(folder)
    assert [text.partition(": ")[0] for text in found] == [
        "pkgspec/packages/example-common",
        "pkgspec/releases/1.0",
    ]


def test_broken_toml_names_the_line(tmp_path: Path) -> None:
    (problem,) = package_problems(
        tmp_path, SERVICE.replace('[service]\nname = "service"', "[service\n")
    )
    line = SERVICE[: SERVICE.index("[service]")].count("\n") + 1
    assert problem.startswith("pkgspec/packages/example-service: not TOML: ")
    assert f"line {line}" in problem


def test_text_that_is_not_utf8_is_refused(tmp_path: Path) -> None:
    folder = write_pkgspec(tmp_path)
    (folder / "project.toml").write_bytes(
        PROJECT.replace("Example", "Ex\xe4mple").encode("latin-1")
    )
    assert "pkgspec/project: not UTF-8" in problems_of(folder)[0]


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (SERVICE.replace('"example-service"', '"other"', 1), "is named 'example-service' but says"),
        (
            SERVICE.replace("serves nobody", "costs $HOME"),
            "'description': '$' is not possible here",
        ),
        (SERVICE.replace('"adduser"', '"add$user"'), "'deb.depends.0': '$' is not possible here"),
        (SERVICE.replace('"/var/lib', '"/var/../lib'), "must be an absolute path without '..'"),
        (SERVICE.replace('"debian/prerm"', '"/debian/prerm"'), "must be a path below the project"),
        (
            SERVICE.replace('link = "/opt', 'source = "x"\nlink = "/opt'),
            "a symlink has no 'source'",
        ),
        (SERVICE.replace('source = "postinst/run-service"', ""), "a file needs 'source'"),
        (SERVICE.replace('kind = "symlink"', 'kind = "link"'), "'payload.3.kind'"),
        (
            SERVICE.replace('"example-service"\n\n[service]', '"a b"\n\n[service]'),
            "not a requirement",
        ),
        (
            SERVICE.replace('"example-service"\n\n[service]', '"a @ file:///a"\n\n[service]'),
            "a URL is not possible here",
        ),
        (SERVICE.replace("a service of the tests", "It serves."), "'summary'"),
        (SERVICE.replace("It serves nobody.", "x" * 80), "80 characters, 79 are the limit"),
    ],
)
def test_a_wrong_value_is_refused(tmp_path: Path, text: str, problem: str) -> None:
    found = package_problems(tmp_path, text)
    assert any(problem in text for text in found), found


def test_a_package_that_needs_one_the_release_lacks(tmp_path: Path) -> None:
    meta = COMMON.replace("example-common", "example").replace(
        "[[payload]]", 'depends-release = ["exmple-service"]\n\n[[payload]]', 1
    )
    packages = {
        **PACKAGES,
        "example": meta,
    }
    release = RELEASE.replace("packages = [", 'packages = ["example", ')
    found = problems_of(write_pkgspec(tmp_path, packages=packages, releases={"1.0": release}))
    (problem,) = found
    assert problem == (
        "pkgspec/packages/example: 'depends-release' names 'exmple-service', which the release "
        "1.0 does not have (did you mean 'example-service'?)"
    )


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (
            '[[sample]]\ntarget = "/usr/share/exampl"\nsource = "postinst/tool"\n',
            (
                "a [[sample]] is at /usr/share/exampl, where no package of the release has one "
                "(did you mean '/usr/share/example'?)"
            ),
        ),
        (
            '[extra-requirements]\nexample-servce = ["attrs"]\n',
            (
                "'extra-requirements' names 'example-servce', which is not among its packages "
                "(did you mean 'example-service'?)"
            ),
        ),
    ],
)
def test_what_a_release_changes_of_its_packages_is_there(
    tmp_path: Path, text: str, problem: str
) -> None:
    sample = '[[sample]]\ndistribution = "x"\nmember = "y"\ntarget = "/usr/share/example"\n\n[deb]'
    packages = {
        **PACKAGES,
        "example-service": SERVICE.replace("[deb]", sample, 1),
    }
    root = write_pkgspec(tmp_path, packages=packages, releases={"1.0": RELEASE + text})
    assert problems_of(root) == [f"pkgspec/releases/1.0: {problem}"]


def test_a_release_with_an_unknown_package_or_a_second_default(tmp_path: Path) -> None:
    second = RELEASE.replace('name = "1.0"', 'name = "2.0"').replace(
        "example-service", "exmple-service"
    )
    found = problems_of(write_pkgspec(tmp_path, releases={"1.0": RELEASE, "2.0": second}))
    unknown, defaults = found
    assert unknown == (
        "pkgspec/releases/2.0: 'packages' names 'exmple-service', which pkgspec/packages/ "
        "does not have (did you mean 'example-service'?)"
    )
    assert defaults == "pkgspec/releases: one release is the default; these say so: 1.0, 2.0"


def test_a_release_whose_changelog_is_of_another_version(tmp_path: Path) -> None:
    text = RELEASE.replace('version = "1.0.2"', 'version = "1.0.3"', 1)
    (problem,) = problems_of(write_pkgspec(tmp_path, releases={"1.0": text}))
    assert (
        "the first [[changelog]] of all packages is of 1.0.2-1, the release of 1.0.3-1" in problem
    )


def test_a_pkgspec_without_any_release(tmp_path: Path) -> None:
    folder = write_pkgspec(tmp_path)
    (folder / "releases" / "1.0.toml").unlink()
    (problem,) = problems_of(folder)
    assert problem == "pkgspec/releases: there is no release"


def test_names_are_found_in_full_or_short_or_refused_with_a_guess(real_spec: Spec) -> None:
    release = real_spec.release("26.9")
    assert real_spec.release(release.version) is release
    assert [
        package.name for package in real_spec.select(release, ["manager", "backendai-manager"])
    ] == ["backendai-manager"]
    assert [package.name for package in real_spec.select(release, [])] == list(release.packages)
    with pytest.raises(UsageError, match="did you mean 'backendai-manager'") as caught:
        real_spec.select(release, ["backendai-manger"])
    assert "backendai-common" in str(caught.value.hint)
    with pytest.raises(UsageError, match=r"unknown release '26\.99' \(did you mean '26\.9'\?\)"):
        real_spec.release("26.99")


def test_a_new_service_and_release_line_need_data_alone(tmp_path: Path) -> None:
    extra = SERVICE.replace("example-service", "example-extra").replace('"service"', '"extra"')
    extra = extra.replace("/backendai/service/", "/backendai/extra/")
    release = RELEASE.replace("1.0", "2.0").replace('"example-service"', '"example-extra"')
    write_pkgspec(tmp_path, releases={"2.0": release})
    (tmp_path / "pkgspec" / "packages" / "example-extra.toml").write_text(extra, encoding="utf-8")
    spec = load_spec(tmp_path / "pkgspec")
    plan = plan_example(spec, "example-extra")
    assert (plan.name, plan.metadata.version) == ("example-extra", "2.0.2")
    assert plan.python is not None
    assert str(plan.python.prefix) == "/opt/backendai/extra"


def test_the_spec_is_frozen(tmp_path: Path) -> None:
    spec = load_example(tmp_path)
    with pytest.raises(ValueError, match="frozen"):
        setattr(spec.release(None), "name", "other")  # noqa: B010  # else mypy refuses it too


def test_a_release_without_packages_is_refused(tmp_path: Path) -> None:
    text = RELEASE.replace('["example-runtime", "example-common", "example-service"]', "[]")
    (problem,) = problems_of(write_pkgspec(tmp_path, releases={"1.0": text}))
    assert problem.startswith("pkgspec/releases/1.0: 'packages'")


def test_a_time_without_its_zone_is_refused(tmp_path: Path) -> None:
    text = RELEASE.replace("00:00:00Z", "00:00:00")
    (problem,) = problems_of(write_pkgspec(tmp_path, releases={"1.0": text}))
    assert problem.startswith("pkgspec/releases/1.0: 'index-until'")
