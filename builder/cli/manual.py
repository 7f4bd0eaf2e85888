"""``builder manual``."""

from typing import TypedDict

import click

from builder import __version__
from builder.base.paths import PROJECT
from builder.plan.render import Renderer
from builder.plan.sources import read_sources

_PAGE = "docs/man/builder.1.j2"


class Described(TypedDict):
    """A command, in the form that the manual's templates read."""

    name: str
    about: str
    options: list[dict[str, object]]
    arguments: list[dict[str, object]]
    commands: list["Described"]


def describe(
    command: click.Command, name: str = "", parent: click.Context | None = None
) -> Described:
    """A command and all below it, as the command line has them."""
    context = click.Context(command, info_name=name, parent=parent)
    found = Described(
        name=name,
        about=(command.help or "").split("\f")[0].strip(),
        options=[
            _option(param)
            for param in command.params
            if isinstance(param, click.Option) and not param.hidden
        ],
        arguments=[
            {"name": param.make_metavar(context), "optional": False}
            for param in command.params
            if isinstance(param, click.Argument)
        ],
        commands=[],
    )
    if isinstance(command, click.Group):
        for child_name in command.list_commands(context):
            child = command.get_command(context, child_name)
            if child is not None and not child.hidden:
                found["commands"].append(describe(child, child_name, context))
    return found


def _option(option: click.Option) -> dict[str, object]:
    takes_value = not (option.is_flag or option.count)
    return {
        "flags": [*option.opts, *option.secondary_opts],
        "value": (option.metavar or option.type.name.upper()) if takes_value else "",
        "about": option.help or "",
    }


def manual_text() -> str:
    """The manual page of the whole command line."""
    from builder.cli import main  # noqa: PLC0415 -- the group that this command is part of

    renderer = Renderer(read_sources(PROJECT))
    return renderer.render(_PAGE, {"tool": describe(main), "version": __version__}).decode()


@click.command("manual")
def manual_command() -> None:
    """Print the manual page: builder manual | man -l -."""
    click.echo(manual_text(), nl=False)
