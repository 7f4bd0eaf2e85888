"""Templates of pages, where what is shown of others' texts is escaped, and of configuration."""

import functools
import json
import shlex
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined, Template


def page_environment(folder: Path) -> Environment:
    """Return the environment of the templates in ``folder``."""
    return Environment(
        loader=FileSystemLoader(folder),
        undefined=StrictUndefined,
        keep_trailing_newline=True,
        trim_blocks=True,
        lstrip_blocks=True,
        autoescape=True,
    )


@functools.cache
def text_template(path: Path) -> Template:
    """Return the template of a configuration file, with the filters ``sh`` and ``toml``.

    It is compiled once in a process: a repository renders the same few for every channel.
    """
    environment = Environment(
        undefined=StrictUndefined, keep_trailing_newline=True, trim_blocks=True, autoescape=False
    )
    environment.filters["sh"] = shlex.quote
    # A JSON string is a TOML string, and a JSON list of strings a TOML array.
    environment.filters["toml"] = lambda value: json.dumps(value, ensure_ascii=False)
    return environment.from_string(path.read_text(encoding="utf-8"))
