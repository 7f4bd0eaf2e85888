"""Audits packages by their SBOMs: what is known of their parts, and what is ignored for a time."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any
from urllib.parse import quote

from builder import __version__
from builder.release.advisories import Advisories, components_of
from builder.release.records import Vulnerability
from builder.spec.advisories import IgnoredSpec

_SARIF = "https://json.schemastore.org/sarif-2.1.0.json"


@dataclass(frozen=True, kw_only=True)
class Finding:
    """A vulnerability of a part of a package."""

    package: str  # the file's name
    part: str
    version: str
    owner: str
    vulnerability: Vulnerability
    ignored: str = ""  # the reason

    @property
    def shown(self) -> str:
        """The finding in one line."""
        inside = f" in {self.owner}" if self.owner else ""
        fixed = ", ".join(self.vulnerability.fixed)
        return (
            f"{self.package}: {self.part} {self.version}{inside}: {self.vulnerability.shown}"
            f" (fixed in {fixed or 'no version'})"
        )

    def as_dict(self) -> dict[str, object]:
        """Return the finding for JSON."""
        found = self.vulnerability
        return {
            "package": self.package,
            "part": self.part,
            "version": self.version,
            "inside": self.owner,
            "id": found.name,
            "aliases": list(found.aliases),
            "summary": found.summary,
            "fixed": list(found.fixed),
            "ignored": self.ignored,
        }


def audit(
    documents: Mapping[str, Mapping[str, Any]],
    advisories: Advisories,
    ignored: Sequence[IgnoredSpec],
    today: date,
) -> list[Finding]:
    """Return the findings in SBOMs, by the names of their packages; those ignored last."""
    found = [
        Finding(
            package=package,
            part=component.name,
            version=component.version,
            owner=component.owner,
            vulnerability=vulnerability,
            ignored=_reason(vulnerability, component.name, ignored, today),
        )
        for package, document in documents.items()
        for component in components_of(document)
        for vulnerability in advisories.find(component)
    ]
    return sorted(found, key=lambda finding: bool(finding.ignored))


def _reason(
    vulnerability: Vulnerability, part: str, ignored: Sequence[IgnoredSpec], today: date
) -> str:
    names = {vulnerability.name, *vulnerability.aliases}
    rows = (row for row in ignored if row.id in names and row.part in (None, part))
    return next((row.reason for row in rows if today <= row.until), "")


def expired(ignored: Sequence[IgnoredSpec], today: date) -> Iterator[IgnoredSpec]:
    """Yield the rows whose last day is over."""
    return (row for row in ignored if row.until < today)


def sarif(findings: Sequence[Finding]) -> dict[str, object]:
    """Return the findings as SARIF 2.1.0, which code hosts show; ignored ones are suppressed."""
    rules = {finding.vulnerability.name: finding.vulnerability for finding in findings}
    return {
        "$schema": _SARIF,
        "version": "2.1.0",
        "runs": [
            {
                "tool": {
                    "driver": {
                        "name": "backendai-builder",
                        "version": __version__,
                        "rules": [
                            {"id": name, "shortDescription": {"text": rules[name].shown}}
                            for name in sorted(rules)
                        ],
                    }
                },
                "results": [_result(finding) for finding in findings],
            }
        ],
    }


def _result(finding: Finding) -> dict[str, object]:
    result: dict[str, object] = {
        "ruleId": finding.vulnerability.name,
        "level": "error",
        "message": {"text": finding.shown},
        "locations": [{"physicalLocation": {"artifactLocation": {"uri": quote(finding.package)}}}],
    }
    if finding.ignored:
        result["suppressions"] = [{"kind": "external", "justification": finding.ignored}]
    return result
