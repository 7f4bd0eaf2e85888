"""Makes a service's configuration on this host, once; later offers are FILE.new."""

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from backendai_target.edit import edit_ini, edit_toml
from backendai_target.files import Writer, exclusive
from backendai_target.layout import Layout
from backendai_target.recipe import Answers, ConfigRecipe, load_recipe, read_sample
from backendai_target.secretstore import SecretStore
from backendai_target.site import load_site, new_site

Say = Callable[[str], None]


@dataclass(frozen=True, kw_only=True)
class Record:
    """What this tool last offered for one file, and whether the file is its own making.

    Purging removes a file that was made here, and leaves one that an admin had
    put there before; postinst/service-deb.sh reads the first word.
    """

    made: bool
    digest: str

    @classmethod
    def load(cls, path: Path) -> "Record | None":
        """The record at ``path``, or None where there is none that can be read."""
        try:
            origin, digest = path.read_text(encoding="utf-8").split()
        except (OSError, ValueError):
            return None
        return cls(made=origin == "made", digest=digest)

    def __str__(self) -> str:
        return f"{'made' if self.made else 'found'} {self.digest}\n"


def configure(
    service: str,
    *,
    layout: Layout,
    secrets: SecretStore,
    environment: Mapping[str, str],
    say: Say,
) -> None:
    """Make site.toml, the secrets and the configuration of ``service`` where absent.

    Safe to run again and to kill. What exists is never changed.
    """
    writer = secrets.writer
    recipe = load_recipe(layout, service)
    for folder in (layout.etc, layout.secrets, layout.generated):
        writer.ensure_folder(folder)
    with exclusive(layout.generated):
        for folder in (layout.etc, layout.secrets, layout.generated):
            writer.sweep(folder)
        if not layout.site.exists():
            _offer(layout.site, new_site(environment), layout, writer, say)
        answers = Answers(site=load_site(layout), secrets=secrets)
        # All are made before the first is written: an error leaves nothing half done.
        texts = [
            (layout.etc / config.file, render_config(layout, service, config, answers))
            for config in recipe.configs
        ]
        for path, text in texts:
            _offer(path, text, layout, writer, say)


def render_config(layout: Layout, service: str, config: ConfigRecipe, answers: Answers) -> str:
    """The text of one configuration file, from the sample of the installed release."""
    sample = read_sample(layout, service, config.file)
    settings = {key: answers.resolve(wanted) for key, wanted in config.settings.items()}
    if config.file.endswith(".ini"):
        return edit_ini(sample, settings)
    return edit_toml(sample, settings, config.remove)


def _record(text: str, *, made: bool) -> Record:
    return Record(made=made, digest=hashlib.sha256(text.encode()).hexdigest())


def _offer(path: Path, text: str, layout: Layout, writer: Writer, say: Say) -> None:
    """Create ``path``, or leave it and offer ``text`` beside it where that is news."""
    record_path = layout.generated / path.name
    known = Record.load(record_path)
    if not path.exists():
        # Recorded first: killed in between, a purge finds a record without a file,
        # which harms nobody, rather than secrets that nothing removes.
        writer.replace(record_path, str(_record(text, made=True)))
        if writer.create(path, text):
            say(f"made {path}")
            return
    fresh = path.with_name(f"{path.name}.new")
    offered = _record(text, made=known.made if known else False)
    if path.read_text(encoding="utf-8", errors="replace") == text:
        fresh.unlink(missing_ok=True)
    elif known and known.digest != offered.digest:
        writer.replace(fresh, text)
        say(f"kept {path}; what this release and site.toml would make is in {fresh.name}")
    if known != offered:
        writer.replace(record_path, str(offered))
