"""Writes changed answers into existing configurations, edited ones included.

Only an admin's command that names the answers does this: nothing else changes an edited file.
"""

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path

from backendai_ctl.answers.resolve import Answers, answers_in, conditions_of, placeholders
from backendai_ctl.base.files import Writer
from backendai_ctl.base.layout import Layout
from backendai_ctl.services.configure import digest_of, render_config
from backendai_ctl.services.edit import edit_toml
from backendai_ctl.services.recipe import (
    ConfigRecipe,
    installed_services,
    load_recipe,
    read_sample,
)
from backendai_ctl.services.record import Record


@dataclass(frozen=True, kw_only=True)
class Follower:
    """Writes the answers in ``names`` to every place where a recipe uses them."""

    layout: Layout
    answers: Answers
    names: Collection[str]
    writer: Writer

    def run(self) -> list[str]:
        """Write the answers that differ; return the services whose configuration changed."""
        changed: list[str] = []
        for service in installed_services(self.layout):
            for config in load_recipe(self.layout, service).configs:
                path = self.layout.etc / config.file
                if path.exists() and self._follow(service, config, path):
                    changed.append(service)
        return list(dict.fromkeys(changed))

    def _follow(self, service: str, config: ConfigRecipe, path: Path) -> bool:
        resolved = dict(self._settings(config))
        if not (resolved or self._fills(service, config)):
            return False
        settings = {key: value for key, value in resolved.items() if value is not None}
        removed = tuple(key for key in resolved if key not in settings)
        before = path.read_text(encoding="utf-8")
        record_path = self.layout.generated / path.name
        record = Record.load(record_path)
        # A rendered template has no keys to set: it is rendered anew, or is the admin's.
        if config.template and (record is None or not record.is_of(path)):
            return False
        made = render_config(self.layout, service, config, self.answers) if config.template else ""
        after = made or edit_toml(before, settings, removed)
        if after == before:
            return False
        is_unedited = record is not None and record.is_unedited(path)
        # The file first: if killed in between, it counts as edited, and has the wanted content.
        self.writer.replace(path, after)
        if is_unedited:
            made = made or render_config(self.layout, service, config, self.answers)
            left = "" if digest_of(made) == digest_of(after) else digest_of(after)
            self.writer.replace(
                record_path, str(Record(made=True, digest=digest_of(made), left=left))
            )
        return True

    def _fills(self, service: str, config: ConfigRecipe) -> bool:
        """Whether the file is a template that names one of these answers."""
        if not config.template:
            return False
        return not placeholders(read_sample(self.layout, service, config)).isdisjoint(self.names)

    def _settings(self, config: ConfigRecipe) -> Iterator[tuple[str, object]]:
        """Yield the keys of one file that depend on these answers, and their present values.

        The value is None for a key that the file has no more, as where it is made anew.
        """
        for key, wanted, answers in self.answers.settings(config.settings):
            if not (answers_in(wanted) | conditions_of(wanted)).isdisjoint(self.names):
                yield key, answers.resolve(wanted)
