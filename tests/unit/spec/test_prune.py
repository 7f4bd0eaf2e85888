"""The prune rules of ``pkgspec/``."""

from pathlib import Path

import pytest
from pydantic import ValidationError

from builder.base.errors import SpecError
from builder.base.model import Arch
from builder.spec import Spec, load_spec
from builder.spec.prune import PruneOrigin, PruneRule
from tests.helpers.specs import write_project


def rule(*match: str, keep: tuple[str, ...] = ()) -> PruneRule:
    table = {"name": "a-rule", "reason": "none", "match": match, "keep": keep}
    return PruneRule.model_validate(table)


@pytest.mark.parametrize(
    ("glob", "path", "taken"),
    [
        ("*.pyi", "one.pyi", True),
        ("*.pyi", "package/one.pyi", False),
        ("**/*.pyi", "one.pyi", True),
        ("**/*.pyi", "a/b/one.pyi", True),
        ("**/*.pyi", "a/one.pyic", False),
        ("**/tests/**", "a/tests/b/c.py", True),
        ("**/tests/**", "tests/c.py", True),
        ("**/tests/**", "a/mytests/c.py", False),
        ("**/tests/**", "a/tests", False),
        ("a/*.b.*", "a/x.b.gz", True),
        ("a/*.b.*", "a/xxb.gz", False),
        ("a+b/*.c", "a+b/x.c", True),
    ],
)
def test_a_glob_stays_in_its_folder_unless_it_says_otherwise(
    glob: str, path: str, taken: bool
) -> None:
    assert rule(glob).takes(path) is taken


def test_exceptions_stay() -> None:
    found = rule("**/*.h", keep=("ai/**",))
    assert [found.takes(path) for path in ("x/a.h", "ai/x/a.h", "ai.h")] == [True, False, True]


def test_a_rule_without_a_reason_or_from_the_root_is_refused() -> None:
    with pytest.raises(ValidationError, match="reason"):
        PruneRule.model_validate({"name": "a", "match": ["x"]})
    with pytest.raises(ValidationError, match="match"):
        rule("/etc/*")


def test_rules_of_one_name_are_a_problem_of_the_spec(tmp_path: Path) -> None:
    write_project(tmp_path)
    text = '[[rule]]\nname = "a"\nreason = "b"\nmatch = ["c"]\n'
    (tmp_path / "pkgspec/prune.toml").write_text(text * 2, encoding="utf-8")
    with pytest.raises(SpecError) as caught:
        load_spec(tmp_path / "pkgspec")
    assert caught.value.problems == ["pkgspec/prune: two rules are called 'a'"]


def test_an_unknown_key_names_the_file(tmp_path: Path) -> None:
    write_project(tmp_path)
    (tmp_path / "pkgspec/prune.toml").write_text('[[rule]]\nnames = "a"\n', encoding="utf-8")
    with pytest.raises(SpecError) as caught:
        load_spec(tmp_path / "pkgspec")
    assert any(problem.startswith("pkgspec/prune: ") for problem in caught.value.problems)


def test_each_architecture_keeps_its_own_helpers(real_spec: Spec) -> None:
    rules = real_spec.prune.of(PruneOrigin.WHEELS)
    kept = {Arch.AMD64: "x86_64", Arch.ARM64: "aarch64"}
    for arch in Arch:
        taken = {
            machine
            for machine in kept.values()
            for rule in rules
            if arch in rule.archs and rule.takes(f"ai/backend/agent/docker/relay.{machine}.bin")
        }
        assert taken == set(kept.values()) - {kept[arch]}
