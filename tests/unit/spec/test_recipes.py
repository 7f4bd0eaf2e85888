"""Recipes, as a build reads them."""

from builder.base.paths import PROJECT
from builder.spec.recipes import read_recipe, recipe_files

_GROUP = {"agent.scaling-group", "agent.initial-resource-group-name"}


def test_a_file_has_the_keys_and_the_model_of_the_releases_line() -> None:
    config = {
        "file": "agent.toml",
        "model": "m:Old",
        "set": {"a": 1},
        "line": [
            {"since": "22.03", "set": {"old": 1}},
            {"since": "26.8", "set": {"new": 1}, "model": "m:New"},
        ],
    }
    before, after = (
        recipe_files({"config": [config]}, version)["agent.toml"] for version in ("26.4.16", "26.8")
    )
    assert before.keys == {"a", "old"}
    assert after.keys == {"a", "new"}
    assert [before.model, after.model] == ["m:Old", "m:New"]


def test_a_real_recipe_differs_between_lines() -> None:
    path = PROJECT / "postinst/services/agent/recipe.toml"
    found = {
        version: read_recipe(path, version)["agent.toml"].keys & _GROUP
        for version in ("26.4.16", "26.9.6")
    }
    assert found == {
        "26.4.16": {"agent.scaling-group"},
        "26.9.6": {"agent.initial-resource-group-name"},
    }


def test_a_key_from_an_answer_that_the_release_wants_empty_is_not_written() -> None:
    path = PROJECT / "postinst/services/manager/recipe.toml"
    several = {
        version: "db.addrs" in read_recipe(path, version)["manager.toml"].keys
        for version in ("25.19.3", "26.4.15", "26.4.16", "26.8.3", "26.9.6")
    }
    assert several == {
        "25.19.3": False,
        "26.4.15": False,
        "26.4.16": True,
        "26.8.3": False,
        "26.9.6": True,
    }
