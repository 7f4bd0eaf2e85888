"""A package with a GraphQL gateway: its schemas are dumped by the release, and checked."""

from pathlib import Path

import pytest

from builder.base.errors import PayloadError, SpecError, ToolError
from builder.index.uv import uv_path
from builder.plan import plan_gateway
from builder.spec import load_spec
from tests.helpers.builds import build_project, write_buildable
from tests.helpers.specs import RELEASE, make_lock

try:
    uv_path()
except ToolError:
    pytest.skip("needs uv", allow_module_level=True)

PACKAGE = """
name = "example-gateway"
summary = "a gateway of the tests"
description = "It joins nothing."
depends-common = true

[gateway]
schemas-of = "example-service"
operations-of = "example-service"
operations-in = "example-service"
program = "/usr/lib/example/gateway"
target = "/usr/lib/example/gateway/schemas.json"

[[payload]]
source = "postinst/gateway/*"
target = "/usr/lib/example/gateway"
"""

PROGRAM = """
import sys, example.server
if sys.argv[1] == "dump":
    print("a line of the release")
    print('{"has": %s}' % ("true" if callable(example.server.main) else "false"))
else:
    _, _, release, schemas, wheel = sys.argv
    assert wheel and open(schemas).read().startswith('{"has": true}')
    print('{"operations": 3}')
"""


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A project with a gateway."""
    write_buildable(tmp_path)
    (tmp_path / "pkgspec/packages/example-gateway.toml").write_text(PACKAGE)
    release = RELEASE.replace('"example-service"]', '"example-service", "example-gateway"]')
    (tmp_path / "pkgspec/releases/1.0.toml").write_text(release)
    program = tmp_path / "postinst/gateway"
    (program / "graphql_gateway").mkdir(parents=True)
    (program / "__main__.py").write_text(PROGRAM)
    for name in ("subgraphs.toml", "graphql_gateway/texts.py", "graphql_gateway/config.py"):
        (program / name).write_text("# of the dump\n")
    return tmp_path


def dumps(root: Path) -> list[str]:
    """The dumps that the cache has."""
    return sorted(path.name for path in (root / "cache/derived/graphql").iterdir())


def test_the_schemas_are_dumped_once_and_shipped(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[str] = []
    monkeypatch.setattr("builder.base.log.step", said.append)
    built = build_project(root, "example-gateway")
    assert len(built) == 2
    (stage,) = (root / "cache/derived/stage").iterdir()
    shipped = stage / "root/usr/lib/example/gateway/schemas.json"
    assert shipped.read_text() == '{"has": true}\n'
    assert "example-gateway: the gateway serves 1.0.2: 3 operations" in said
    first = dumps(root)
    # Nothing runs in an unchanged build; another check needs no other dump.
    said.clear()
    assert all(package.artifact.reused for package in build_project(root, "example-gateway"))
    assert not any("gateway serves" in line for line in said)
    main = root / "postinst/gateway/__main__.py"
    main.write_text(PROGRAM.replace(": 3}", ": 4}"))
    build_project(root, "example-gateway")
    assert "example-gateway: the gateway serves 1.0.2: 4 operations" in said
    assert dumps(root) == first
    (root / "postinst/gateway/graphql_gateway/texts.py").write_text("# another\n")
    build_project(root, "example-gateway")
    assert len(dumps(root)) == 2


def test_a_gateway_that_does_not_fit_is_not_packed(root: Path) -> None:
    bad = PROGRAM.replace("""print('{"operations": 3}')""", 'print("T.f is lost"); sys.exit(1)')
    (root / "postinst/gateway/__main__.py").write_text(bad)
    with pytest.raises(PayloadError, match=r"does not fit 1\.0\.2:\nT\.f is lost") as raised:
        build_project(root, "example-gateway")
    assert "docs/graphql.md" in str(raised.value.hint)
    assert list((root / "dist").glob("example-gateway*")) == []
    (root / "postinst/gateway/__main__.py").write_text(PROGRAM)
    assert len(build_project(root, "example-gateway")) == 2


def test_an_operation_that_its_own_release_refuses_can_be_known(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One named with its reason does not end a build; another does, and alone is shown."""
    said: list[str] = []
    monkeypatch.setattr("builder.base.log.step", said.append)
    ends = 'print("a.js: no field f"); print("b.js: no field g"); sys.exit(1)'
    bad = PROGRAM.replace("""print('{"operations": 3}')""", ends)
    (root / "postinst/gateway/__main__.py").write_text(bad)
    entry = '[[operation]]\nmatch = ["{}"]\nerror = "no field ?"\nreason = "It is older."\n'
    gates = root / "pkgspec/gates.toml"
    gates.write_text(entry.format("a.js"))
    with pytest.raises(PayloadError, match=r"does not fit 1\.0\.2:\nb\.js: no field g$"):
        build_project(root, "example-gateway")
    gates.write_text(entry.format("?.js"))
    assert len(build_project(root, "example-gateway")) == 2
    assert any("serves 1.0.2, but for 2 fields" in line for line in said)


def test_a_dump_that_fails_is_reported(root: Path) -> None:
    (root / "postinst/gateway/__main__.py").write_text("import nothing_of_this_name\n")
    with pytest.raises(ToolError, match="nothing_of_this_name"):
        build_project(root, "example-gateway")


def test_a_release_without_the_packages_is_reported(root: Path) -> None:
    spec = load_spec(root / "pkgspec")
    package = spec.packages["example-gateway"]
    with pytest.raises(SpecError, match="the release has no example-service"):
        plan_gateway(package, "1.0.2", {})


def test_the_plan_is_the_same_for_every_architecture(root: Path) -> None:
    spec = load_spec(root / "pkgspec")
    lock = make_lock(spec)
    gateway = plan_gateway(spec.packages["example-gateway"], "1.0.2", {"example-service": lock})
    assert gateway.pins == sorted([*(wheel.pin for wheel in lock.wheel), gateway.operations.pin])
    assert all("sha256" not in pin for pin in gateway.pins)
