"""Applies a plan; when a step fails, continues with the steps that do not depend on it."""

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field

from backendai_ctl.base.errors import RecipeError, TargetError
from backendai_ctl.seed.groups import CLUSTER, Group
from backendai_ctl.seed.model import Finding, State, Step, StepResult
from backendai_ctl.seed.session import Say


@dataclass(kw_only=True)
class Run:
    """One run over all groups; ``results`` has the outcome of each step."""

    say: Say
    results: list[StepResult] = field(default_factory=list)
    _blocked: dict[str, str] = field(default_factory=dict)

    def apply(self, groups: Sequence[Group]) -> list[StepResult]:
        """Do every step whose work is not blocked; errors become results."""
        for group in groups:
            blocker = self._blocked.get(group.name) or self._blocked.get(CLUSTER)
            if blocker is not None:
                self._skip(group.name, group.steps, blocker)
            elif self._is_done(group):
                continue
            else:
                self._locked(group)
        return self.results

    def _is_done(self, group: Group) -> bool:
        """Inspect all steps without the lock; return whether there is nothing to do."""
        try:
            findings = [(step, step.inspect()) for step in group.steps]
        except TargetError:
            return False
        if any(finding.state is State.CREATE or finding.blocks for _, finding in findings):
            return False
        for step, finding in findings:
            self._note(group.name, step, finding)
        return True

    def _locked(self, group: Group) -> None:
        with ExitStack() as stack:
            try:
                stack.enter_context(group.lock())
            except TargetError as error:
                self._failed(group.name, group.steps[0], error)
                self._skip(group.name, group.steps[1:], group.steps[0].name)
                return
            for number, step in enumerate(group.steps):
                if not self._run(group.name, step):
                    self._blocked[group.name] = step.name
                    self._skip(group.name, group.steps[number + 1 :], step.name)
                    return

    def _run(self, group: str, step: Step) -> bool:
        """Run one step; return whether the next steps can run."""
        try:
            finding = step.inspect()
            if finding.state is State.CREATE:
                self.say(f"{group}: {step.name}: {finding.detail or 'new'}")
                finding = self._apply(step)
        except RecipeError:
            raise  # the package is broken, and waiting does not fix that
        except TargetError as error:
            self._failed(group, step, error)
            return False
        self._note(group, step, finding)
        return not finding.blocks and finding.state is not State.WAITING

    def _apply(self, step: Step) -> Finding:
        try:
            step.apply()
        except TargetError:
            # Somebody else may have been faster: two hosts may create the same database.
            if step.inspect().state is not State.EXISTS:
                raise
        finding = step.inspect()
        if finding.state is State.CREATE:
            return Finding(
                state=State.WAITING, detail=f"was done, and is missing: {finding.detail}"
            )
        return finding

    def _note(self, group: str, step: Step, finding: Finding) -> None:
        self.results.append(StepResult.of(group, step.name, finding))
        if finding.state in (State.WAITING, State.DIFFERS) or finding.blocks:
            self.say(f"{group}: {step.name}: {finding.state.value}: {finding.detail}")
            if finding.remedy:
                self.say(f"hint: {finding.remedy}")

    def _failed(self, group: str, step: Step, error: TargetError) -> None:
        finding = Finding(state=State.WAITING, detail=error.message, remedy=error.hint or "")
        self._blocked[group] = step.name
        self._note(group, step, finding)

    def _skip(self, group: str, steps: Sequence[Step], blocker: str) -> None:
        self._blocked.setdefault(group, blocker)
        for step in steps:
            self.results.append(StepResult.of(group, step.name, Finding.blocked_by(blocker)))
