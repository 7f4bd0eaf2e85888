"""The licence policy: what it allows, warns of and refuses."""

import license_expression
import pytest
from pydantic import ValidationError

from builder.base.errors import PayloadError
from builder.sbom import policy as policy_room
from builder.sbom.licences import join_licences, licence_rules, simple_licences
from builder.sbom.model import Inventory, LicenceFacts, Part, PartKind
from builder.sbom.policy import judge, obey_policy, verdict_on
from builder.spec.licences import LicencesSpec, PolicySpec, Verdict

POLICY = PolicySpec(
    allow=("MIT", "Apache-2.0"),
    review=("GPL-3.0-only",),
    deny=("SSPL-1.0",),
    otherwise=Verdict.REVIEW,
)


@pytest.mark.parametrize(
    ("expression", "verdict"),
    [
        ("MIT", Verdict.ALLOW),
        ("MIT OR SSPL-1.0", Verdict.ALLOW),
        ("MIT AND SSPL-1.0", Verdict.DENY),
        ("(MIT OR SSPL-1.0) AND GPL-3.0-only", Verdict.REVIEW),
        ("Apache-2.0 WITH LLVM-exception", Verdict.ALLOW),
        ("LicenseRef-Own", Verdict.REVIEW),
        ("", Verdict.REVIEW),
    ],
)
def test_verdicts(expression: str, verdict: Verdict) -> None:
    assert verdict_on(expression, POLICY) is verdict


def part(name: str, expression: str, kind: PartKind = PartKind.WHEEL) -> Part:
    return Part(ref=name, kind=kind, name=name, licence=LicenceFacts(expression=expression))


def test_a_review_is_of_a_part_with_that_licence() -> None:
    reviewed = [{"name": "known", "licence": "GPL-3.0-only", "reason": "x"}]
    rules = LicencesSpec.model_validate(
        {"words": {}, "policy": POLICY.model_dump(), "reviewed": reviewed}
    )
    inventory = Inventory(
        parts=(
            part("known", "GPL-3.0-only"),
            part("known", "GPL-2.0-only"),
            part("new", "GPL-3.0-only"),
            part("mute", ""),
            part("inner", "", PartKind.LIBRARY),
            part("fine", "MIT"),
        )
    )
    assert [(found.name, found.licence) for found in judge(inventory, rules)] == [
        ("known", "GPL-2.0-only"),
        ("new", "GPL-3.0-only"),
        ("mute", ""),
    ]


def test_a_build_obeys(monkeypatch: pytest.MonkeyPatch) -> None:
    warnings: list[str] = []
    monkeypatch.setattr("builder.base.log.warn", warnings.append)
    rules = LicencesSpec.model_validate({"words": {}, "policy": POLICY.model_dump()})
    monkeypatch.setattr(policy_room, "licence_rules", lambda: rules)
    obey_policy("own", Inventory(parts=(part("fine", "MIT"),)))
    assert warnings == []
    obey_policy("own", Inventory(parts=(part("new", "GPL-3.0-only"),)))
    assert [text.partition(";")[0] for text in warnings] == [
        "own: licences to be reviewed: new (GPL-3.0-only)"
    ]
    inner = Inventory(
        parts=(
            Part(
                ref="w",
                kind=PartKind.FILE,
                name="w",
                parts=(part("crate", "SSPL-1.0", PartKind.LIBRARY),),
            ),
        )
    )
    with pytest.raises(PayloadError, match=r"own: the licence policy denies crate \(SSPL-1\.0\)"):
        obey_policy("own", inner)


def test_a_licence_is_in_one_list_only() -> None:
    with pytest.raises(ValidationError, match="listed twice: MIT"):
        PolicySpec(allow=("MIT",), deny=("MIT",))


def test_the_projects_rules_use_names_of_spdx() -> None:
    known = license_expression.get_spdx_licensing()
    rules = licence_rules()
    named = [
        *rules.policy.allow,
        *rules.policy.review,
        *rules.policy.deny,
        *rules.words.values(),
        *(row.licence for row in rules.correction),
        *(row.licence for row in rules.reviewed),
    ]
    simple = {name for expression in named for name in simple_licences(expression)}
    for name in simple:
        if not name.startswith("LicenseRef-"):
            assert known.parse(name, validate=True, strict=True), name
    assert all(word == word.lower() for word in rules.words)


def test_licences_of_all_parts_are_joined_without_repetitions() -> None:
    joined = join_licences(["MIT", "MIT OR Apache-2.0", "Apache-2.0 AND MIT", "MIT"])
    assert joined == "Apache-2.0 AND MIT"
    assert join_licences(["MIT", "ISC OR Zlib"]) == "MIT AND (ISC OR Zlib)"
    assert join_licences(["LicenseRef-Own", "MIT"]) == "LicenseRef-Own AND MIT"
