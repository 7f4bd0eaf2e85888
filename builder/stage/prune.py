"""Which files of a wheel no package ships, by the rules of ``pkgspec/prune.toml``."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import PurePosixPath

from builder.base.errors import PayloadError
from builder.spec.prune import PruneRule
from builder.stage.linking import files_below
from builder.wheels.install import InstalledWheel

_BYTECODE = "/__pycache__/"
_METADATA = ".dist-info/"  # licences and RECORD are never left out
_MODULES = (".py", ".so")


@dataclass(frozen=True, kw_only=True)
class PrunedWheel:
    """A wheel without the files that the rules take; ``rules`` is empty if none does."""

    wheel: InstalledWheel  # with the programs and libraries that stay
    rules: Mapping[str, str]  # path below the wheel's tree to the name of its rule


def prune_wheel(
    wheel: InstalledWheel, site: PurePosixPath, rules: Sequence[PruneRule]
) -> PrunedWheel:
    """Apply the rules to the files of ``wheel`` below ``site``; the first that matches counts.

    Bytecode goes with its source. Raises PayloadError if a rule takes a module and is not
    made to.
    """
    taken: dict[str, str] = {}
    for path in files_below(wheel.tree):
        if not path.startswith(f"{site}/"):
            continue
        rule = _rule_for(_source_of(path[len(f"{site}/") :]), rules)
        if rule is None:
            continue
        if path.endswith(_MODULES) and not rule.modules:
            raise PayloadError(
                f"{wheel.wheel.file}: the prune rule '{rule.name}' matches the module {path}",
                hint="narrow its 'match' in pkgspec/prune.toml, or name the module in 'keep'",
            )
        taken[path] = rule.name
    elf = tuple((path, info) for path, info in wheel.elf if str(path) not in taken)
    return PrunedWheel(wheel=replace(wheel, elf=elf), rules=taken)


def describe_pruned(pruned: Iterable[PrunedWheel]) -> list[dict[str, object]]:
    """Return the files and bytes that each rule took, by the rule's name."""
    found: dict[str, list[int]] = {}
    for wheel in pruned:
        for path, rule in wheel.rules.items():
            found.setdefault(rule, []).append((wheel.wheel.tree / path).lstat().st_size)
    return [
        {"rule": rule, "files": len(sizes), "bytes": sum(sizes)}
        for rule, sizes in sorted(found.items())
    ]


def _rule_for(path: str, rules: Sequence[PruneRule]) -> PruneRule | None:
    if _METADATA in path:
        return None
    return next((rule for rule in rules if rule.takes(path)), None)


def _source_of(path: str) -> str:
    """Return the path of the source that bytecode was made of, or the path itself."""
    if _BYTECODE not in f"/{path}":
        return path
    folder, _, name = f"/{path}".rpartition(_BYTECODE)
    return f"{folder}/{name.partition('.')[0]}.py".lstrip("/")
