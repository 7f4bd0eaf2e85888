"""Creates a service's configuration on this host, once; later versions are offered as FILE.new."""

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from backendai_ctl.answers.constraints import check_constraints
from backendai_ctl.answers.edits import read_preseed
from backendai_ctl.answers.kinds import Value
from backendai_ctl.answers.resolve import Answers
from backendai_ctl.answers.secretstore import SecretStore
from backendai_ctl.answers.site import Site, has_default_answers, load_site, new_site
from backendai_ctl.base.account import Owner
from backendai_ctl.base.errors import SiteError
from backendai_ctl.base.files import Writer, exclusive
from backendai_ctl.base.layout import Layout
from backendai_ctl.base.systemd import reload_units
from backendai_ctl.base.temporary import remove_left
from backendai_ctl.services.edit import edit_ini, edit_toml, make_env
from backendai_ctl.services.folders import prepare_folder
from backendai_ctl.services.host_answers import check_reserved, derived_answers
from backendai_ctl.services.recipe import ConfigRecipe, Recipe, load_recipe, read_sample
from backendai_ctl.services.record import Record
from backendai_ctl.services.release_validation import Validator
from backendai_ctl.services.tls_answers import take_tls_answers
from backendai_ctl.services.volumes import check_volume_answers, guard_mounts

Say = Callable[[str], None]


@dataclass(frozen=True, kw_only=True)
class Host:
    """The host's account, the caller's environment, and the function that receives messages."""

    account: Owner
    environment: Mapping[str, str]
    say: Say


def configure(
    service: str,
    *,
    layout: Layout,
    secrets: SecretStore,
    host: Host,
) -> None:
    """Create site.toml, the secrets and the configuration of ``service`` if absent.

    Safe to run again and to kill. Existing files are never changed.
    """
    writer = secrets.writer
    recipe = load_recipe(layout, service)
    for folder in (layout.etc, layout.secrets, layout.generated):
        writer.ensure_folder(folder)
    with exclusive(layout.generated):
        for folder in (layout.etc, layout.secrets, layout.generated):
            remove_left(folder)
        if not layout.site.exists():
            given = {**read_preseed(layout), **host.environment}
            _offer(layout.site, new_site(layout, given), layout, writer, host.say)
        layout.preseed.unlink(missing_ok=True)
        site = load_site(layout)
        _check_answers(recipe, site, layout, host)
        derived: Mapping[str, Value] = derived_answers(layout, site, recipe, host.say)
        answers = Answers(site=site, secrets=secrets, overrides=derived)
        # All texts are rendered before the first is written: an error leaves nothing half done.
        texts = [
            (layout.etc / config.file, render_config(layout, service, config, answers))
            for config in recipe.configs
        ]
        is_given = bool(derived) or not has_default_answers(layout)
        if is_given or any(path.exists() for path, _ in texts):
            _check_texts(service, recipe, texts, layout, host.say)
        for config, (path, text) in zip(recipe.configs, texts, strict=True):
            renewal = Renewal(config=config, answers=answers, text=text)
            if not (config.renewed and _renew(path, renewal, layout, writer, host.say)):
                _offer(path, text, layout, writer, host.say)
    if guard_mounts(layout, answers.site, recipe, host.say):
        reload_units(layout)
    for wanted in recipe.folders:
        for each in answers.each(f"{{{wanted.site}}}"):
            prepare_folder(layout, wanted, each, host.account, host.say)


def _check_answers(recipe: Recipe, site: Site, layout: Layout, host: Host) -> None:
    """Raise SiteError for answers that this service cannot work with.

    A node's own certificate is made here, where site.toml asks for it.
    """
    check_constraints(recipe.constraints, site, str(layout.site))
    if recipe.health.volumes:
        check_volume_answers(layout, site)
    if recipe.reserved:
        check_reserved(layout, site, recipe.reserved, host.say)
    take_tls_answers(layout, site, host.account, host.say, shows=recipe.tls is not None)


def _check_texts(
    service: str, recipe: Recipe, texts: list[tuple[Path, str]], layout: Layout, say: Say
) -> None:
    """Validate each file with the release's own model; SiteError if it refuses a new file.

    New files of default answers alone are the same on every host: the packages were tested with
    them, and doctor validates them. Asking the release imports it, for a second. A problem in
    an admin's own file is only a warning, because nothing here changes that file.
    """
    validator = Validator(layout=layout, service=service)
    refused: list[str] = []
    for config, (path, text) in zip(recipe.configs, texts, strict=True):
        is_new = not path.exists()
        verdict = validator.check(config, text) if is_new else validator.check_file(config)
        if is_new:
            refused += map(str, verdict.refused)
        for problem in verdict.problems:
            if not (is_new and problem in verdict.refused):
                say(f"warning: {problem}")
        if verdict.unasked:
            say(f"warning: could not ask the release: {verdict.unasked}")
    if refused:
        raise SiteError(refused, hint=f"correct {layout.site}, then run this again")


def render_config(layout: Layout, service: str, config: ConfigRecipe, answers: Answers) -> str:
    """Return the text of one configuration file, from the sample of the installed release."""
    settings, remove = _edits(config, answers)
    if config.file.endswith(".env"):
        return make_env(settings)
    sample = read_sample(layout, service, config)
    if config.template:
        filled = answers.fill(sample)
        is_edited = settings and config.file.endswith(".toml")
        return edit_toml(filled, settings, remove) if is_edited else filled
    if config.file.endswith(".ini"):
        return edit_ini(sample, settings)
    return edit_toml(sample, settings, remove)


def _edits(config: ConfigRecipe, answers: Answers) -> tuple[dict[str, object], tuple[str, ...]]:
    """Return the settings to write into the sample, and the keys to remove from it."""
    resolved = {
        key: each.resolve(wanted) for key, wanted, each in answers.settings(config.settings)
    }
    settings = {key: value for key, value in resolved.items() if value is not None}
    return settings, (*config.remove, *(key for key in resolved if key not in settings))


@dataclass(frozen=True, kw_only=True)
class Renewal:
    """A file as this tool would create it now."""

    config: ConfigRecipe
    answers: Answers
    text: str

    def keeping_addons(self, text: str) -> str:
        """Return ``text``, in which add-ons were enabled, with the present settings."""
        return edit_toml(text, *_edits(self.config, self.answers))


def digest_of(text: str) -> str:
    """Return the hash by which a record identifies a text."""
    return hashlib.sha256(text.encode()).hexdigest()


def _renew(path: Path, renewal: Renewal, layout: Layout, writer: Writer, say: Say) -> bool:
    """Replace a file that this tool created and nobody has edited; return whether it did."""
    text, left = renewal.text, ""
    record_path = layout.generated / path.name
    known = Record.load(record_path)
    if not path.exists() or known is None or not known.is_unedited(path):
        return False
    if not known.is_of(path):
        if known.digest == digest_of(text):
            return True
        text = renewal.keeping_addons(path.read_text(encoding="utf-8"))
        left = digest_of(text)
    if path.read_text(encoding="utf-8") != text:
        # The file first: if killed in between, the next run finds the file as wanted.
        writer.replace(path, text)
        say(f"made {path} anew, which nobody has edited")
    offered = Record(made=True, digest=digest_of(renewal.text), left=left)
    writer.replace(record_path, str(offered))
    return True


def _offer(path: Path, text: str, layout: Layout, writer: Writer, say: Say) -> None:
    """Create ``path``; if it exists, leave it and write a new ``text`` beside it."""
    record_path = layout.generated / path.name
    known = Record.load(record_path)
    if not path.exists():
        # Recorded first: if killed in between, a purge finds a record without a file, which is
        # harmless, rather than secrets that nothing removes.
        writer.replace(record_path, str(Record(made=True, digest=digest_of(text))))
        if writer.create(path, text):
            say(f"made {path}")
            return
    fresh = path.with_name(f"{path.name}.new")
    offered = replace(known or Record(made=False, digest=""), digest=digest_of(text))
    if path.read_text(encoding="utf-8", errors="replace") == text:
        fresh.unlink(missing_ok=True)
    elif known and known.digest != offered.digest:
        writer.replace(fresh, text)
        say(f"kept {path}; what this release and site.toml would make is in {fresh.name}")
    if known != offered:
        writer.replace(record_path, str(offered))
