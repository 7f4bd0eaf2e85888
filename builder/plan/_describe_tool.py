"""Prints the commands of the target's tool as JSON; run as a program, never imported.

Argument: the folder that holds the tool. Only argparse's own tables list the options of a
parser, so they are read here, in a process of its own.
"""

import argparse
import importlib
import json
import sys


def describe(parser: argparse.ArgumentParser) -> dict[str, object]:
    """Return a parser's options, arguments and commands."""
    found: dict[str, list[dict[str, object]]] = {"options": [], "arguments": [], "commands": []}
    for action in parser._actions:  # noqa: SLF001
        if action.help == argparse.SUPPRESS:
            continue
        if isinstance(action, argparse._SubParsersAction):  # noqa: SLF001
            about = {choice.dest: choice.help or "" for choice in action._choices_actions}  # noqa: SLF001
            found["commands"] += [
                {"name": name, "about": about[name], **describe(child)}
                for name, child in action.choices.items()
                if name in about  # a command without a help text is not for people
            ]
        elif action.option_strings:
            value = action.metavar or action.dest.upper() if action.nargs != 0 else ""
            found["options"].append(
                {"flags": action.option_strings, "value": value, "about": action.help or ""}
            )
        else:
            name = str(action.metavar or action.dest)
            optional = action.nargs in ("?", "*")
            found["arguments"].append(
                {"name": name, "about": action.help or "", "optional": optional}
            )
    return dict(found)


def main() -> None:
    """Describe the tool in the folder given."""
    sys.path.insert(0, sys.argv[1])
    cli = importlib.import_module("backendai_ctl.cli")
    sys.stdout.write(json.dumps(describe(cli.make_parser()), sort_keys=True))


if __name__ == "__main__":
    main()
