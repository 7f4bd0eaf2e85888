"""The check of a release before it is packed."""

import json
import zipfile
from pathlib import Path

import pytest
from graphql_gateway import gate
from graphql_gateway.errors import GatewayError
from graphql_gateway.gate import (
    as_sent,
    check,
    check_operation,
    executable,
    find_operations,
)
from graphql_gateway.supergraph import compose
from graphql_gateway.walk import find_gaps

from tests.unit.postinst.services.graphql_gateway.schemas import TEXTS

_SUBGRAPHS = "".join(
    f'[[subgraph]]\nname = "{name}"\npath = "/{name}"\nschema = "m:{name}"\n' for name in TEXTS
)


def written(tmp_path: Path, texts: dict[str, str]) -> tuple[Path, Path]:
    """The files of subgraphs and of their schemas."""
    subgraphs, schemas = tmp_path / "subgraphs.toml", tmp_path / "schemas.json"
    subgraphs.write_text(_SUBGRAPHS)
    schemas.write_text(json.dumps({"format": 1, "release": "x", "plain": {}, "described": texts}))
    return subgraphs, schemas


def wheel(tmp_path: Path, *operations: str) -> Path:
    """A webserver's wheel whose scripts have these operations."""
    path = tmp_path / "web-1.0-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        script = "".join(f"const a={{text:{json.dumps(text)}}};" for text in operations)
        archive.writestr("ai/web/static/assets/page.js", script)
        archive.writestr("ai/web/static/assets/page.js.map", 'text:"query Other { nothing }"')
    return path


def test_a_release_that_fits_is_counted(tmp_path: Path) -> None:
    web = wheel(tmp_path, "query A {\n  hello\n}", "query B { roles { holder { host } } }")
    problems, counts = check("1.0", *written(tmp_path, dict(TEXTS)), [web])
    assert problems == []
    assert counts["operations"] == 2
    # load, host, region and peers of an agent, and nothing else.
    assert counts["crossing"] == 4


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("host: String!", 'host: String! @requires(fields: "id")', "has @requires"),
        ("type Agent implements Node @key(fields: \"id\")", "type Agent implements Node",
         "cannot be planned: Agent.host of what modern finds"),
        ("type PageInfo @shareable", "type Missing", "do not fit together"),
    ],
)  # fmt: skip
def test_a_schema_that_does_not_fit_is_reported(
    tmp_path: Path, old: str, new: str, says: str
) -> None:
    texts = {**TEXTS, "legacy": TEXTS["legacy"].replace(old, new)}
    if "Missing" in new:
        texts["modern"] = texts["modern"].replace("type PageInfo @shareable", "type Missing")
    web = wheel(tmp_path, "query A { hello }")
    files = written(tmp_path, texts)
    try:
        problems, _ = check("1.0", *files, [web])
    except GatewayError as error:
        problems = [str(error)]
    assert any(says in problem for problem in problems), problems


def test_the_command_prints_every_problem(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    subgraphs, schemas = written(tmp_path, dict(TEXTS))
    monkeypatch.setattr(gate, "SUBGRAPHS", subgraphs)
    web = wheel(tmp_path, "query A { gone }", "query B { hello(name: 1) }", "query C { hello }")
    assert gate.gate("1.0", schemas, [web]) == 1
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("page.js: Cannot query field 'gone'")
    assert len(lines) == 2
    assert gate.gate("1.0", schemas, [wheel(tmp_path, "query C { hello }")]) == 0
    assert json.loads(capsys.readouterr().out)["operations"] == 1
    # No operation at all means that their form is another.
    assert gate.gate("1.0", schemas, [wheel(tmp_path)]) == 1
    assert "no operation" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("script", "text"),
    [
        ('x={text:"query A {\\n  b(c: \\"d\\")\\n}"}', 'query A {\n  b(c: "d")\n}'),
        ("x={text:`mutation A {\n  b\n}\n`}", "mutation A {\n  b\n}"),
        ("x={text:'query A { b(c: \\u0022d\\x22) }'}", 'query A { b(c: "d") }'),
    ],
)
def test_operations_are_found_in_scripts(script: str, text: str) -> None:
    noise = 'y={text:"query"},z={text:"Search"},w={context:"query A { b }"}'
    assert list(find_operations(f"{noise};{script};")) == [text]


def test_the_web_uis_own_directives_are_applied() -> None:
    text = """
        query A($a: Int @since(version: "1.0"), $b: Int) {
          x @since(version: "26.9.0a4")
          y(a: $b) @since(version: "26.10.0")
          z @deprecatedSince(version: "26.9.0") { ...F }
          w @skipOnClient(if: $a)
          v { u @since(version: "99.0") }
        }
        fragment F on Z { t }
    """
    sent = " ".join(as_sent(text, "26.9.6").split())
    assert sent == "query A { x w }"


def test_every_value_of_conditions_is_planned() -> None:
    texts = {
        "a": "type Query { v: V } type V { x: Int }",
        "b": "type Query { w: Int } type V { y: Int }",
    }
    schemas = {name: executable(text) for name, text in texts.items()}
    query = "query A($c: Boolean!) { v { x y @include(if: $c) } }"
    assert check_operation(compose(texts), schemas, query, "1.0") == ["no subgraph resolves V.y"]


def test_what_a_subgraph_would_refuse_is_reported() -> None:
    schemas = {name: executable(text) for name, text in TEXTS.items()}
    query = "{ roles { name holder { host } } }"
    assert check_operation(compose(TEXTS), schemas, query, "1.0") == []
    schemas["legacy"] = executable(TEXTS["legacy"].replace("host: String!", "hosts: String!"))
    (problem,) = check_operation(compose(TEXTS), schemas, query, "1.0")
    assert problem.startswith("legacy would refuse: Cannot query field 'host'")


def test_the_walk_finds_what_a_plan_would_refuse() -> None:
    gaps, crossing = find_gaps(
        compose(
            {
                "a": "type Query { v: V p: P } type V { x: Int } "
                'type P @key(fields: "id") { id: ID v: V }',
                "b": 'type V { y: Int } type P @key(fields: "id") { id: ID v: V n: Int }',
            }
        )
    )
    # Of a P's V the rest is found through the P; of the root's it is not.
    assert gaps == ["V.y of what a finds"]
    assert crossing == 2
