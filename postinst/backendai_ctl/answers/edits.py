"""Changes single answers of site.toml, and reads answers from before the file existed."""

import os
import shlex
from collections.abc import Mapping, MutableMapping
from pathlib import Path

import tomlkit

from backendai_ctl.answers.kinds import Value
from backendai_ctl.answers.questions import load_questions
from backendai_ctl.answers.site import Site, load_site, new_site, parse_site, read_site
from backendai_ctl.base.errors import HostError, SiteError
from backendai_ctl.base.files import Writer, exclusive
from backendai_ctl.base.layout import Layout
from backendai_ctl.base.text import read_lines
from backendai_ctl.base.toml import parse_document


def read_preseed(layout: Layout) -> dict[str, str]:
    """Return the answers from before any service could create site.toml, as BACKENDAI_ variables.

    backendai-common's postinst writes the file from debconf; one NAME='VALUE' a line,
    quoted for a shell.
    """
    try:
        lines = read_lines(layout.preseed)
    except OSError:
        return {}
    found: dict[str, str] = {}
    for line in lines:
        name, equals, quoted = line.partition("=")
        try:
            words = shlex.split(quoted)
        except ValueError as error:
            raise HostError(
                f"{layout.preseed}: a line has a quote without its end",
                hint="run dpkg-reconfigure backendai-common, or remove the file",
            ) from error
        if equals:
            found[name] = "".join(words)
    return found


def get_answer(layout: Layout, name: str) -> str:
    """Return the answer SECTION.KEY as text; a list's items are joined by commas."""
    site = load_site(layout)
    _known(site, name)
    value = site[name]
    if isinstance(value, bool):
        return str(value).lower()
    return ",".join(value) if isinstance(value, list) else str(value)


def is_secret(layout: Layout, name: str) -> bool:
    """Whether the answer SECTION.KEY must not be shown."""
    question = load_questions(layout).with_name(name).named(name)
    return question is not None and question.is_secret


def set_answer(
    layout: Layout, writer: Writer, name: str, text: str, environment: Mapping[str, str]
) -> bool:
    """Set one answer, and keep every other byte of the file. Return whether the file changed.

    Raises SiteError if the value or the present file is wrong; nothing is written then.
    """
    question = load_questions(layout).with_name(name).named(name)
    if question is None:
        raise _unknown(name)
    for folder in (layout.etc, layout.generated):
        writer.ensure_folder(folder)
    with exclusive(layout.generated):
        if layout.site.exists():
            before = read_site(layout)
        else:
            before = new_site(layout, {**read_preseed(layout), **environment})
        site = parse_site(layout, before)
        value = question.from_text(text)
        try:
            checked = question.check(value)
        except ValueError as error:
            raise SiteError(
                [f"{name} = {question.shown(text)}: must be {question.allowed}"]
            ) from error
        if site.answers.get(name) == checked and layout.site.exists():
            return False
        after = with_answer(before, question.section, question.key, checked)
        parse_site(layout, after)  # a further section's first answers must come in order
        write_site(layout.site, after, writer)
    return True


def with_answer(text: str, section: str, key: str, value: Value) -> str:
    """Return ``text``, a site.toml, with one answer set and every other byte as it is."""
    document = parse_document(text)
    table: MutableMapping[str, object] = document
    for part in section.split("."):
        if part not in table:
            table[part] = tomlkit.table()
        below = table[part]
        assert isinstance(below, MutableMapping)
        table = below
    table[key] = value
    return tomlkit.dumps(document)


def write_site(path: Path, text: str, writer: Writer) -> None:
    """Replace site.toml, and keep its owner and mode, which may be the admin's own."""
    try:
        status = path.stat()
    except FileNotFoundError:
        writer.replace(path, text)
        return
    writer.replace(path, text)
    try:
        os.chown(path, status.st_uid, status.st_gid)
        path.chmod(status.st_mode & 0o7777)
    except OSError as error:
        raise HostError(f"cannot give {path} its owner back: {error.strerror}") from error


def _known(site: Site, name: str) -> None:
    if site.questions.named(name) is None:
        raise _unknown(name)


def _unknown(name: str) -> SiteError:
    return SiteError(
        [f"site.toml has no answer called '{name}'"],
        hint="name it SECTION.KEY, for example etcd.addresses; the file explains each",
    )
