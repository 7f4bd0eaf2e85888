"""Renders shipped text: jinja2 with strict names, and a quoting filter per language.

Pure: the templates come as a mapping of path to text, read by :mod:`builder.plan.sources`.
"""

import json
import re
import shlex
import textwrap
from collections.abc import Mapping

from jinja2 import BytecodeCache, DictLoader, Environment, StrictUndefined, TemplateError

from builder.base.errors import SpecError

Sources = Mapping[str, bytes]
TEMPLATE_SUFFIX = ".j2"
# The commands of backendai-ctl, as JSON; made by builder.plan.sources, not a file.
TOOL_DESCRIPTION = "generated/backendai-ctl.json"
# The package of each command of `backend.ai`, as JSON; made there, too.
COMMAND_TABLE = "generated/commands.json"


def quote_systemd(value: object) -> str:
    """Quote ``value`` as one word of a unit's command line or environment."""
    text = str(value).replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%")
    return f'"{text}"' if not text or any(c in text for c in " \t'\";") else text


def quote_toml(value: object) -> str:
    """Quote a string, or a list or table of strings, as TOML, for which their JSON is valid."""
    if isinstance(value, Mapping):
        pairs = (f"{quote_toml(key)} = {quote_toml(item)}" for key, item in value.items())
        return "{ " + ", ".join(pairs) + " }"
    return json.dumps(value, ensure_ascii=False)


def quote_roff(value: object) -> str:
    """Quote ``value`` as text of a manual page, without requests and hyphenation points."""
    text = str(value).replace("\\", "\\e").replace("-", "\\-")
    return re.sub(r"(?m)^(?=[.'])", r"\\&", text)


def sentence(text: str) -> str:
    """Turn a help text (lower case, no full stop) into a sentence in short lines."""
    flat = " ".join(text.split())
    whole = flat[:1].upper() + flat[1:] + ("" if flat.endswith((".", "!", "?")) else ".")
    return textwrap.fill(whole, 72, break_long_words=False, break_on_hyphens=False)


class Renderer:
    """Renders templates out of ``sources``; ``compiled`` has those of earlier builds."""

    def __init__(self, sources: Sources, compiled: BytecodeCache | None = None) -> None:
        self._sources = sources
        texts = {name: data.decode("utf-8") for name, data in sources.items() if _is_text(data)}
        self._environment = Environment(
            loader=DictLoader(texts),
            undefined=StrictUndefined,
            keep_trailing_newline=True,
            trim_blocks=True,
            lstrip_blocks=True,
            autoescape=False,  # shell and unit files, not HTML
            bytecode_cache=compiled,
        )
        self._environment.filters["sh"] = lambda value: shlex.quote(str(value))
        self._environment.filters["systemd"] = quote_systemd
        self._environment.filters["roff"] = quote_roff
        self._environment.filters["sentence"] = sentence
        self._environment.globals["describe_tool"] = lambda: json.loads(sources[TOOL_DESCRIPTION])
        self._environment.globals["list_commands"] = lambda: json.loads(sources[COMMAND_TABLE])
        self._environment.filters["toml"] = quote_toml

    def render(self, name: str, context: Mapping[str, object]) -> bytes:
        """Return the file at ``name``, rendered if it is a template.

        Raises SpecError if it does not exist or uses an unknown name.
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
