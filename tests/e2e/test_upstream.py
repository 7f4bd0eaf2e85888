"""Upstream's own test suite, of the release's version, against a packaged node.

An ordinary user runs every spec; those that change users and projects are run by the
superadmin, too. ``upstream/known/LINE.toml`` says which do not pass and why: any other
failure is one of this test, and so is a case of that list that passes. The table is
written to build/e2e.
"""

import json
import time
from collections.abc import Sequence
from xml.etree import ElementTree

import pytest

from builder.base.paths import PKGSPEC, PROJECT
from builder.spec import load_spec
from tests.e2e import kernel
from tests.e2e.nodes import SERVICES, Kind, Node, World, open_node
from tests.e2e.upstream import node as suite
from tests.e2e.upstream.known import Known, Outcome, Result, judge, load_known, unused
from tests.e2e.upstream.node import SUPERADMIN, USER, Account
from tests.e2e.upstream.report import render_report
from tests.integration.dist import Dist
from tests.integration.steps import Steps

pytestmark = [pytest.mark.docker, pytest.mark.full]

_PACKAGES = (
    "backendai",
    "backendai-agent",
    "backendai-accelerator-mock",
    "backendai-appproxy-coordinator",
    "backendai-appproxy-worker",
    "python3",  # that the suite is run by
)
_SERVICES = (*SERVICES, "graphql", "agent", "appproxy-coordinator", "appproxy-worker")
# Specs that make users or projects, or remove folders for good: an administrator's.
_ADMIN_SPECS = (
    "*vfolder*",
    "*file*",
    "purge_group_success",
    "purge_group_fail_remaining_active_session_exist",
    "creation_interactive_session_failure_too_many*",
)
# A call of the driver begins cases for so long; one case takes up to twice as long again.
_BUDGET_S = 600
_CALL_LIMIT_S = 2000
_TOTAL_LIMIT_S = 4 * 3600
_CLI_LIMIT_S = 1800
_MESSAGE_LENGTH = 300
# What pytest's report says of a test that did not pass.
_ENDS = {"failure": Outcome.FAIL, "error": Outcome.FAIL, "skipped": Outcome.SKIPPED}


def test_upstream_suite(request: pytest.FixtureRequest, world: World, dist: Dist) -> None:
    known = load_known(_line_of(dist.version))
    say = Steps(request.config, "upstream's suite")
    begin = time.monotonic()
    shown = {**kernel.mounts(world.client), **suite.mounts(dist.version)}
    with open_node(world, Kind.TRIXIE, "upstream", mounts=shown) as node:
        with say("install"):
            node.install(*_PACKAGES)
            node.wait_for(*_SERVICES)
        with say("prepare"):
            accounts = suite.prepare(node)
        results = []
        with say("the command line"):
            results += _parse_junit(suite.run_command_line(node, accounts, _CLI_LIMIT_S))
        of_name = {account.name: account for account in accounts}
        janitor = of_name[SUPERADMIN]
        for account, patterns in ((of_name[USER], ["*"]), (janitor, _ADMIN_SPECS)):
            results += _run_specs(node, account, janitor, patterns, say)
        # Before the node is removed: an engine under load may fail at that.
        seconds = time.monotonic() - begin
        problems = _report(results, known, f"{dist.version} on a packaged Debian 13 node", seconds)
        assert not problems, "\n".join(problems)


def _report(
    results: Sequence[Result], known: Sequence[Known], what: str, seconds: float
) -> list[str]:
    """Write the table; what is not as expected."""
    verdicts = judge(results, known)
    folder = PROJECT / "build" / "e2e"
    folder.mkdir(parents=True, exist_ok=True)
    text = render_report(verdicts, title=f"Upstream's test suite {what}", seconds=seconds)
    (folder / "upstream.md").write_text(text, encoding="utf-8")
    problems = [
        f"{verdict.result.account}: {verdict.result.case}: {verdict.problem}"
        for verdict in verdicts
        if verdict.problem
    ]
    return problems + [f"known of no case: {pattern}" for pattern in unused(results, known)]


def _line_of(version: str) -> str:
    releases = load_spec(PKGSPEC).releases
    return next(line for line, release in releases.items() if release.version == version)


def _run_specs(
    node: Node, account: Account, janitor: Account, patterns: Sequence[str], say: Steps
) -> list[Result]:
    """Call the driver until every case has a result."""
    names = suite.drive(node, account, janitor, ["--list", *patterns], 120).split()
    assert names, f"no spec is named like {', '.join(patterns)}"
    end = time.monotonic() + _TOTAL_LIMIT_S
    found: dict[str, Result] = {}
    while len(found) < len(names):
        assert time.monotonic() < end, f"{len(found)} of {len(names)} after {_TOTAL_LIMIT_S} s"
        words = ["--budget", str(_BUDGET_S), *patterns]
        say.say(suite.drive(node, account, janitor, words, _CALL_LIMIT_S))
        for text in node.host.read(account.results).splitlines():
            result = Result.parse(json.loads(text), account.name)
            found[result.case] = result
    return list(found.values())


def _parse_junit(text: str) -> list[Result]:
    """The tests of the command line, by the names of their modules."""
    results = []
    for case in ElementTree.fromstring(text).iter("testcase"):
        module = case.get("classname", "").rpartition(".")[2]
        outcome, error = Outcome.PASS, ""
        for child in case:
            if child.tag in _ENDS:
                outcome = _ENDS[child.tag]
                error = " ".join(child.get("message", "").split())[:_MESSAGE_LENGTH]
        name = f"cli:{module}::{case.get('name')}"
        seconds = float(case.get("time", 0))
        results.append(Result(case=name, account="", outcome=outcome, seconds=seconds, error=error))
    return results
