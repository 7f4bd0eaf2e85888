"""The cases as JSON and as JUnit XML, which CI systems show. Pure."""

import re
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from xml.etree.ElementTree import Element, SubElement, indent, tostring

from builder.base.storage import replacing
from builder.verify.case import Case, Status

_NO_XML = re.compile("[^\\t\\n\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")  # its "Char"


def as_table(cases: Sequence[Case]) -> dict[str, object]:
    """Return the cases for ``--json``."""
    return {
        "ok": all(case.ok for case in cases),
        "cases": [
            {
                "distribution": case.distribution,
                "image": case.image,
                "packages": list(case.packages),
                "ok": case.ok,
                "evidence": None if case.ok else str(case.evidence),
                "steps": [
                    {**asdict(step), "seconds": round(step.seconds, 1)} for step in case.steps
                ],
            }
            for case in cases
        ],
    }


def as_junit(cases: Sequence[Case]) -> str:
    """Render JUnit XML: one suite per distribution, one case per step."""
    root = Element("testsuites", name="builder verify")
    for case in cases:
        count = {status: sum(step.status is status for step in case.steps) for status in Status}
        suite = SubElement(
            root,
            "testsuite",
            name=case.distribution,
            tests=str(len(case.steps)),
            failures=str(count[Status.FAILED]),
            errors="0",  # Jenkins' schema asks for it
            skipped=str(count[Status.SKIPPED]),
            time=f"{sum(step.seconds for step in case.steps):.3f}",
        )
        for step in case.steps:
            testcase = SubElement(
                suite,
                "testcase",
                name=step.name,
                classname=f"verify.{case.distribution}",
                time=f"{step.seconds:.3f}",
            )
            head = _printable(step.detail.partition("\n")[0])
            if step.status is Status.FAILED:
                failure = SubElement(testcase, "failure", message=head)
                failure.text = _printable(f"{step.detail}\nevidence: {case.evidence}")
            elif step.status is Status.SKIPPED:
                SubElement(testcase, "skipped", message=head)
    indent(root)
    return f"{tostring(root, encoding='unicode', xml_declaration=True)}\n"


def write_junit(path: Path, cases: Sequence[Case]) -> None:
    """Write the XML by rename."""
    with replacing(path) as part:
        part.write_text(as_junit(cases), encoding="utf-8")


def _printable(text: str) -> str:
    """Remove what XML 1.0 cannot express: a terminal's colours, bytes that are no UTF-8."""
    return _NO_XML.sub("", text)
