"""Runs the specs of upstream's suite, one at a time; copied to the node and run there.

Each case is a process of its own with a time limit, and one line of JSON in the file of
results as soon as it ends. A case that has a line is not run again, so a run that was
interrupted goes on where it stopped. What a case leaves behind is removed before the next
one starts, because a small node has room for a few containers only.

Needs the suite on PYTHONPATH and nothing else.
"""

import argparse
import asyncio
import fnmatch
import importlib
import json
import os
import signal
import sys
import time
import traceback
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import UUID

_SUITE = "ai.backend.test"
# The listener of a session's events is refused until the session exists.
_RETRY_S = 0.5
_CLEAN_UP_S = 90  # for a case that was stopped at its limit
_IDLE_S = 120
_MESSAGE_LENGTH = 300
# Modules that set a time limit, which is a matter of the machine, with its name.
_LIMITS = {
    f"{_SUITE}.templates.model_service.endpoint": "_ENDPOINT_CREATION_TIMEOUT",
    f"{_SUITE}.testcases.model_service.replicas_scale_successfully": "_ENDPOINT_CREATION_TIMEOUT",
    f"{_SUITE}.testcases.session.creation_failure_command_timeout": "_TASK_TIMEOUT",
}
# Specs that have several sessions at a time: ends of their names, and how many.
_SESSIONS = {"session_rename_fail_duplicated_name": 2, "replicas_successfully_scale": 3}
_ENDED = ("destroying", "destroyed")  # services that the manager ends or has ended
_LIVE = (
    "PENDING,SCHEDULED,PREPARING,PREPARED,PULLING,CREATING,RUNNING,RESTARTING,"
    "RUNNING_DEGRADED,DEPRIORITIZING,TERMINATING"
)


@dataclass(frozen=True, kw_only=True)
class Case:
    """One spec with one combination of its parameters."""

    name: str
    spec: Any
    parameters: dict[Any, Any]

    @property
    def cluster(self) -> Any:
        """The size and mode of the session's cluster, if the case has one."""
        found = [value for value in self.parameters.values() if hasattr(value, "cluster_size")]
        return found[0] if found else None


@dataclass
class Progress:
    """What became of a case so far, as the suite's exporter hears it."""

    stages: list[str] = field(default_factory=list)
    body: str = "not reached"
    body_error: BaseException | None = None
    error: BaseException | None = None

    async def export_start(self) -> None:
        """Ignored."""

    async def export_done(self) -> None:
        """Ignored: no error says the same."""

    async def export_stage_done(self, stage: str) -> None:
        """Note a stage that was entered."""
        self.stages.append(stage)

    async def export_stage_exception(self, stage: str, exception: BaseException) -> None:
        """Ignored: the case's own exception follows."""

    async def export_exception(self, exception: BaseException) -> None:
        """Note what ended the case."""
        self.error = exception


def load_cases() -> list[Case]:
    """Every case of the suite, by name."""
    specs = importlib.import_module(f"{_SUITE}.testcases.testspecs").ROOT_TEST_SPECS
    found = []
    for key, spec in specs.items():
        combinations = spec.product_parametrizes() or [{}]
        for number, parameters in enumerate(combinations):
            label = f"[{_label(parameters, number)}]" if len(combinations) > 1 else ""
            found.append(Case(name=f"{key}{label}", spec=spec, parameters=dict(parameters)))
    return sorted(found, key=lambda case: case.name)


def _label(parameters: dict[Any, Any], number: int) -> str:
    """What distinguishes a combination from the spec's others."""
    for value in parameters.values():
        if isinstance(value, str):
            return value
        if hasattr(value, "code"):
            return str(number)
        if hasattr(value, "cluster_size") and len(parameters) == 1:
            return f"{value.cluster_mode}-{value.cluster_size}"
    return str(number)


def adapt(limit: float) -> None:
    """Change what keeps the suite from seeing anything; before its specs are imported."""
    utils: Any = importlib.import_module(f"{_SUITE}.templates.session.utils")
    errors = importlib.import_module("ai.backend.client.exceptions")
    listen = utils.verify_session_events

    async def listen_again(*args: Any, **options: Any) -> None:
        # The scheduler ends every session, and says so in place of who wanted it.
        options.pop("expected_termination_reason", None)
        while True:
            try:
                return await listen(*args, **options)  # type: ignore[no-any-return]
            except errors.BackendAPIError as error:
                if error.status != 404:
                    raise
            await asyncio.sleep(_RETRY_S)

    utils.verify_session_events = listen_again
    health = importlib.import_module(f"{_SUITE}.testcases.model_service.health_check")
    for check in (health.EndpointHealthCheck, health.EndpointHealthCheckWithToken):
        _ask_until(check, limit)
    for module, name in _LIMITS.items():
        setattr(importlib.import_module(module), name, limit)


def _ask_until(check: Any, limit: float) -> None:
    """Ask an endpoint again until it answers as expected: its route is healthy only later."""
    ask = check.test

    async def ask_again(self: Any) -> None:
        end = time.monotonic() + limit
        while True:
            try:
                return await ask(self)  # type: ignore[no-any-return]
            except AssertionError:
                if time.monotonic() > end:
                    raise
            await asyncio.sleep(5)

    check.test = ask_again


async def run_case(case: Case, config: Any, limit: float) -> dict[str, Any]:
    """Run one case, and say what became of it."""
    contexts = importlib.import_module(f"{_SUITE}.contexts.context").BaseTestContext
    runner = importlib.import_module(f"{_SUITE}.tester.runner").TestRunner
    progress = Progress()
    _watch_body(progress)
    begin = time.monotonic()
    with ExitStack() as stack:
        for name, context in contexts.used_contexts().items():
            value = case.parameters.get(name) or getattr(config.context, name, None)
            if value:
                stack.enter_context(context.with_current(value))
        task = asyncio.create_task(runner(case.spec, progress).run())
        await asyncio.wait({task}, timeout=limit)
        late = not task.done()
        if late:
            task.cancel()
            await asyncio.wait({task}, timeout=_CLEAN_UP_S)
    outcome = "timeout" if late else "fail" if progress.error else "pass"
    return {
        "case": case.name,
        "outcome": outcome,
        "seconds": round(time.monotonic() - begin, 1),
        "body": progress.body,
        "stages": progress.stages,
        **_describe(progress),
    }


def _watch_body(progress: Progress) -> None:
    """Note how the check itself ends, apart from what is set up and cleaned up around it."""
    template = importlib.import_module(f"{_SUITE}.templates.template").BasicTestTemplate
    run_test = template.run_test

    async def watch(self: Any, exporter: Any) -> None:
        try:
            await run_test(self, exporter)
            progress.body = "passed"
        except BaseException as error:
            progress.body, progress.body_error = "failed", error
            raise

    template.run_test = watch


def _describe(progress: Progress) -> dict[str, str]:
    """What ended the case: the check's own error, and that of the clean-up that hides it."""
    error = progress.error
    if error is None:
        return {"error": "", "where": ""}
    traceback.print_exception(error)
    frames = [
        f"{Path(frame.filename).name}:{frame.name}"
        for frame in traceback.extract_tb(error.__traceback__)
        if "/ai/backend/test/" in frame.filename
    ]
    found = [each for each in (progress.body_error, error) if each is not None]
    texts = dict.fromkeys(
        f"{type(each).__name__}: {' '.join(str(each).split())}"[:_MESSAGE_LENGTH] for each in found
    )
    return {"error": "; then ".join(texts), "where": frames[-1] if frames else ""}


def run_apart(case: Case, config: Any, limit: float, folder: Path) -> dict[str, Any]:
    """Run a case in a process of its own; what it prints is kept in ``folder``."""
    answer, result = os.pipe()
    begin = time.monotonic()
    child = os.fork()
    if child == 0:
        os.close(answer)
        os.setsid()
        log = os.open(folder / f"{case.name}.log", os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        os.dup2(log, 1)
        os.dup2(log, 2)
        found = asyncio.run(run_case(case, config, limit))
        sys.stdout.flush()
        sys.stderr.flush()
        os.write(result, json.dumps(found).encode())
        os._exit(0)
    os.close(result)
    _wait_or_kill(child, limit + _CLEAN_UP_S + 30)
    with os.fdopen(answer, "rb") as pipe:
        text = pipe.read()
    if text:
        found = json.loads(text)
        assert isinstance(found, dict)
        return found
    seconds = round(time.monotonic() - begin, 1)
    error = "the process of the case ended without a result"
    return {"case": case.name, "outcome": "timeout", "seconds": seconds, "error": error}


def _wait_or_kill(child: int, limit: float) -> None:
    end = time.monotonic() + limit
    while os.waitpid(child, os.WNOHANG)[0] == 0:
        if time.monotonic() > end:
            os.killpg(child, signal.SIGKILL)
            os.waitpid(child, 0)
            return
        time.sleep(0.5)


async def tidy(keypair: Any, endpoint: str) -> list[str]:
    """End every model service and session, and wait until none is left; what there was."""
    client = importlib.import_module("ai.backend.client.session").AsyncSession
    settings = importlib.import_module("ai.backend.client.config").APIConfig
    config = settings(
        endpoint=endpoint,
        endpoint_type="api",
        access_key=keypair.access_key,
        secret_key=keypair.secret_key,
    )
    left: dict[str, None] = {}
    ended: set[str] = set()
    end = time.monotonic() + _IDLE_S
    async with client(config=config) as session:
        while time.monotonic() < end:
            alive = [name async for name in _end_all(session, ended)]
            left.update(dict.fromkeys(alive))
            if not alive:
                break
            await asyncio.sleep(2)
    return list(left)


async def _end_all(session: Any, ended: set[str]) -> Any:
    errors = importlib.import_module("ai.backend.client.exceptions")
    field = importlib.import_module("ai.backend.client.output.types").FieldSpec
    fields = [field(name) for name in ("endpoint_id", "name", "lifecycle_stage")]
    services = await session.Service.paginated_list(fields=fields)
    for service in services.items:
        stage = str(service["lifecycle_stage"]).lower().rpartition(".")[2]
        if stage in _ENDED or service["endpoint_id"] in ended:
            continue
        ended.add(service["endpoint_id"])
        yield f"service {service['name']}"
        try:
            await session.Service(service["endpoint_id"]).delete()
        except errors.BackendError as error:
            print(f"service {service['name']}: {error}")  # noqa: T201 - a program of its own
    sessions = await session.ComputeSession.paginated_list(status=_LIVE)
    for found in sessions.items:
        yield f"session {found['id']} ({found['status']})"
        if found["status"] != "TERMINATING":
            try:
                compute = session.ComputeSession.from_session_id(UUID(found["id"]))
                await compute.destroy(forced=True)
            except errors.BackendError as error:
                print(f"session {found['id']}: {error}")  # noqa: T201


def load_config(path: Path) -> Any:
    """The suite's settings, read as its tester does."""
    tomllib = importlib.import_module("tomllib")
    model = importlib.import_module(f"{_SUITE}.tester.config").TesterConfig
    return model.model_validate(tomllib.loads(path.read_text()), by_alias=True, by_name=True)


def _skipped(case: Case, cores: int, nodes: int) -> str:
    """Why this node cannot run the case, or nothing."""
    cluster = case.cluster
    if cluster is None:
        return ""
    if "multi_node" in case.name or "multi-node" in case.name:
        return "needs two agents" if nodes < 2 else ""
    # Some specs have several nodes as a parameter that they do not use.
    spec = case.name.partition("[")[0]
    sessions = next((many for end, many in _SESSIONS.items() if spec.endswith(end)), 1)
    needed = cluster.cluster_size * sessions
    if str(cluster.cluster_mode) == "single-node" and needed > cores:
        return f"needs {needed} cores"
    return ""


def _chosen(patterns: list[str]) -> Iterator[Case]:
    for case in load_cases():
        if any(case.name == text or fnmatch.fnmatchcase(case.name, text) for text in patterns):
            yield case


def main() -> None:
    """Run the cases that are named and have no result yet."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--config", type=Path, required=True, help="the suite's settings")
    parser.add_argument("--janitor", type=Path, required=True, help="the same as the superadmin")
    parser.add_argument("--results", type=Path, required=True, help="one line of JSON a case")
    parser.add_argument("--limit", type=float, default=240.0, help="seconds for one case")
    parser.add_argument("--endpoint-limit", type=float, default=300.0)
    parser.add_argument("--budget", type=float, default=600.0, help="seconds to begin cases in")
    parser.add_argument("--cores", type=int, default=2, help="how many sessions may count on")
    parser.add_argument("--list", action="store_true", help="print the names of the cases")
    parser.add_argument("patterns", nargs="*", default=["*"])
    options = parser.parse_args()
    adapt(options.endpoint_limit)
    chosen = list(_chosen(options.patterns))
    if options.list:
        print("\n".join(case.name for case in chosen))  # noqa: T201
        return
    _run_all(chosen, options)


def _run_all(cases: list[Case], options: argparse.Namespace) -> None:
    config, janitor = load_config(options.config), load_config(options.janitor)
    options.results.touch(mode=0o600)
    lines = options.results.read_text().splitlines()
    done = {json.loads(line)["case"] for line in lines}
    end = time.monotonic() + options.budget
    for case in cases:
        if case.name in done:
            continue
        if time.monotonic() > end:
            return
        reason = _skipped(case, options.cores, 1)
        if reason:
            found: dict[str, Any] = {"case": case.name, "outcome": "skipped", "error": reason}
        else:
            is_service = "endpoint" in case.name or "replicas" in case.name
            limit = options.limit + (2 * options.endpoint_limit if is_service else 0)
            found = run_apart(case, config, limit, options.results.parent)
            endpoint = janitor.context.endpoint.api_endpoint
            found["left"] = asyncio.run(tidy(janitor.context.keypair, endpoint))
        with options.results.open("a") as file:
            file.write(f"{json.dumps(found)}\n")
        print(f"{found['outcome']:8} {found.get('seconds', 0):6} {case.name}", flush=True)  # noqa: T201


if __name__ == "__main__":
    main()
