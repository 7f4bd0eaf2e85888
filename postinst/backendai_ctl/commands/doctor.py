"""The command that finds what is wrong with the whole host."""

import argparse
import json
import textwrap

from backendai_ctl.base.account import require_root
from backendai_ctl.base.layout import Layout
from backendai_ctl.commands.base import Command, json_argument, print_out, say
from backendai_ctl.doctor.examine import CHECKS, examine, exit_status, fix_findings
from backendai_ctl.doctor.host_view import HostView
from backendai_ctl.doctor.model import Finding

_WIDTH = 80


def _doctor(options: argparse.Namespace, layout: Layout) -> int:
    view = HostView(layout)
    if options.fix:
        require_root("fix this host")
    checks = {name: CHECKS[name] for name in options.only or CHECKS}
    findings = examine(view, checks)
    done: list[str] = []
    failed: list[str] = []
    if options.fix:
        done, failed = fix_findings(findings)
        findings = examine(HostView(layout), checks)
    if options.json:
        table = {
            "findings": [finding.as_table() for finding in findings],
            "fixed": done,
            "failed": failed,
        }
        print_out(json.dumps(table, indent=2) + "\n")
    else:
        print_out("".join(f"fixed: {text}\n" for text in done))
        print_out("".join(f"not fixed: {text}\n" for text in failed))
        print_out("".join(map(_text, findings)) + _summary(findings))
    if not view.is_root:
        say("as root, ports, volumes, Docker and secrets are looked at, too")
    return exit_status(findings)


def _text(finding: Finding) -> str:
    value = f" ({finding.value})" if finding.value else ""
    lines = [
        *_wrapped(f"{finding.severity.word}: {finding.where}: {finding.what}{value}", ""),
        *_wrapped(f"remedy: {finding.remedy}", "    "),
    ]
    if finding.fix is not None:
        lines.append("    `doctor --fix` does it")
    return "\n".join(lines) + "\n"


def _wrapped(text: str, indent: str) -> list[str]:
    """Wrap text for 80 columns; words, such as paths and commands, stay whole."""
    return textwrap.wrap(
        text,
        _WIDTH,
        initial_indent=indent,
        subsequent_indent=indent + "    ",
        break_long_words=False,
        break_on_hyphens=False,
    )


def _summary(findings: list[Finding]) -> str:
    if not findings:
        return "nothing found\n"
    counts = dict.fromkeys(("error", "warning", "note"), 0)
    for finding in findings:
        counts[finding.severity.word] += 1
    listed = ", ".join(
        f"{count} {word}{'s' if count > 1 else ''}" for word, count in counts.items() if count
    )
    return f"{listed}\n"


def _doctor_arguments(parser: argparse.ArgumentParser) -> None:
    json_argument(parser)
    parser.add_argument("--fix", action="store_true", help="apply the remedies that are safe")
    parser.add_argument(
        "--only", action="append", choices=sorted(CHECKS), metavar="CHECK", help="one check alone"
    )


COMMANDS = (
    Command(
        name="doctor",
        about="find what active units hide, and the remedy; 3: warnings, 4: errors",
        run=_doctor,
        add_arguments=_doctor_arguments,
    ),
)
