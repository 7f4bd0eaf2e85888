"""What site.toml may answer, and what the questions and recipes ask for."""

import tomllib
from pathlib import Path

import pytest
from backendai_ctl.answers.questions import load_questions
from backendai_ctl.answers.resolve import resolve_tree
from backendai_ctl.answers.secretstore import SecretStore
from backendai_ctl.answers.site import load_site, new_site
from backendai_ctl.base.errors import RecipeError, SiteError
from backendai_ctl.base.layout import Layout
from backendai_ctl.services.recipe import load_recipe

from builder.base.paths import PROJECT
from tests.unit.postinst.configs import Configured, made, table
from tests.unit.postinst.conftest import install_recipe
from tests.unit.postinst.rendered import spec


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('[storage]\npath = "/"', 'storage.path = "/": must be an absolute path'),
        ('[storage]\npath = "/srv/../etc"', "must be an absolute path"),
        ('[storage]\npath = "srv"', "must be an absolute path"),
        ('[manager]\nurl = "ftp://a"', 'manager.url = "ftp://a": must be a URL'),
        ('[manager]\nurl = "http://a?b"', "must be a URL"),
        ('[storage-proxy]\nname = "a/b"', "must be letters, digits"),
        ('[storage-proxi]\nname = "a"', "unknown section [storage-proxi] (did you mean 'storage-"),
        (
            '[webserver]\naddress = "0.0.0.0"',
            "must be HOST:PORT, for example 10.0.0.5:8090 or [fd00::5]:8090",
        ),
    ],
)
def test_wrong_answers(services: Layout, text: str, message: str) -> None:
    services.site.write_text(text + "\n")
    with pytest.raises(SiteError) as caught:
        load_site(services)
    assert message in caught.value.message


def test_variables_of_a_section_with_a_hyphen(services: Layout) -> None:
    text = new_site(services, {"BACKENDAI_STORAGE_PROXY_NAME": "rack2"})
    assert tomllib.loads(text)["storage-proxy"]["name"] == "rack2"
    with pytest.raises(SiteError, match="did you mean 'BACKENDAI_STORAGE_PROXY_NAME'"):
        new_site(services, {"BACKENDAI_STORAGE_PROXY_NAMES": "rack2"})


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('kind = "id"', 'kind = "none"', "has no 'none'"),
        ("default = 1100", "default = 0", "a value is not of its kind"),
        ("[[section]]", "[[section", "is not TOML"),
    ],
)
def test_broken_questions_are_the_packages_fault(
    services: Layout, old: str, new: str, message: str
) -> None:
    services.questions.write_text(services.questions.read_text().replace(old, new, 1))
    with pytest.raises(RecipeError, match=message):
        load_questions(services)


def test_recipes_set_only_what_the_questions_have(services: Layout, store: SecretStore) -> None:
    """Every recipe that ships resolves; each is of a package, and each file has a sample."""
    from backendai_ctl.answers.resolve import Answers  # noqa: PLC0415

    services.secrets.mkdir()
    answers = Answers(site=load_site(services), secrets=store)
    packages = {
        package.service.name: package for package in spec().packages.values() if package.service
    }
    for path in sorted((PROJECT / "postinst/services").glob("*/recipe.toml")):
        install_recipe(services, path.parent.name)
        recipe = load_recipe(services, path.parent.name)
        package = packages[recipe.service]
        assert package.service is not None
        assert tuple(config.file for config in recipe.configs) == package.service.config
        shipped = {Path(sample.target).name for sample in package.sample}
        assert {
            config.file
            for config in recipe.configs
            if not config.template and not config.file.endswith(".env")
        } <= shipped
        templates = {
            f"/usr/lib/backendai/{config.template}" for config in recipe.configs if config.template
        }
        assert templates <= {entry.target for entry in package.payload}
        for config in recipe.configs:
            resolve_tree(answers, config.settings)
        resolve_tree(answers, recipe.etcd)
        assert "{" not in answers.fill(recipe.steps)


@pytest.mark.parametrize(
    ("answer", "drivers"),
    [("journal", ["console"]), ("file", ["file"]), ("both", ["console", "file"])],
)
def test_logs_go_where_the_site_says(
    answer: str, drivers: list[str], services: Layout, configured: Configured
) -> None:
    services.site.write_text(f'[logging]\nto = "{answer}"\nfiles = 3\n')
    for service, file in (
        ("storage-proxy", "storage-proxy.toml"),
        ("webserver", "webserver.conf"),
        ("appproxy-worker", "app-proxy-worker.toml"),
    ):
        configured(service)
        logging = table(made(services, file)["logging"])
        assert logging["drivers"] == drivers
        files = table(logging["file"])
        assert files["path"] == f"/var/log/backendai/{service}"
        # The server itself begins a new file; nothing else may move the old one away.
        assert files["backup-count"] == 3


@pytest.mark.parametrize("line", ['to = "syslog"', "files = 0", "files = true"])
def test_a_wrong_answer_about_logs_is_refused(
    line: str, services: Layout, configured: Configured
) -> None:
    services.site.write_text(f"[logging]\n{line}\n")
    with pytest.raises(SiteError, match=r"logging\.\w+ = .*: must be (journal|a number)"):
        configured("webserver")
