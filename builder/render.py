"""Renders shipped text: jinja2 with strict names, and a quoting filter per language.

Pure: the templates come as a mapping of path to text, read by :func:`read_sources`.
"""

import shlex
from collections.abc import Mapping
from pathlib import Path

from jinja2 import DictLoader, Environment, StrictUndefined, TemplateError

from builder.errors import SpecError

Sources = Mapping[str, bytes]
SOURCE_FOLDERS = ("debian", "rpm", "systemd", "postinst", "docs")
TEMPLATE_SUFFIX = ".j2"


def read_sources(project: Path) -> Sources:
    """Every file that a package may ship or render, by its path below the project."""
    found: dict[str, bytes] = {}
    for folder in SOURCE_FOLDERS:
        for path in sorted((project / folder).rglob("*")):
            if path.is_file() and "__pycache__" not in path.parts:
                found[path.relative_to(project).as_posix()] = path.read_bytes()
    return found


def quote_systemd(value: object) -> str:
    """``value`` as one word of a unit's command line or environment."""
    text = str(value).replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%")
    return f'"{text}"' if not text or any(c in text for c in " \t'\";") else text


class Renderer:
    """Renders templates out of ``sources``."""

    def __init__(self, sources: Sources) -> None:
        self._sources = sources
        texts = {name: data.decode("utf-8") for name, data in sources.items() if _is_text(data)}
        self._environment = Environment(
            loader=DictLoader(texts),
            undefined=StrictUndefined,
            keep_trailing_newline=True,
            trim_blocks=True,
            lstrip_blocks=True,
            autoescape=False,  # shell and unit files, not HTML
        )
        self._environment.filters["sh"] = lambda value: shlex.quote(str(value))
        self._environment.filters["systemd"] = quote_systemd

    def render(self, name: str, context: Mapping[str, object]) -> bytes:
        """The file at ``name``, rendered if it is a template.

        Raises SpecError where it does not exist or uses an unknown name.
        """
        if name not in self._sources:
            raise SpecError([f"{name}: no such file, but a payload entry names it"])
        if not name.endswith(TEMPLATE_SUFFIX):
            return self._sources[name]
        try:
            return self._environment.get_template(name).render(context).encode()
        except TemplateError as error:
            raise SpecError([f"{name}: {error}"]) from error


def _is_text(data: bytes) -> bool:
    try:
        data.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True
