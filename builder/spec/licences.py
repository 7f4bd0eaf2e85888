"""The schema of ``pkgspec/licences.toml``: which SPDX licence the words of metadata mean."""

from collections import Counter
from enum import StrEnum
from typing import Annotated

from pydantic import Field, StringConstraints
from pydantic.functional_validators import model_validator

from builder.spec.types import Strict, Text

_Expression = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9(][A-Za-z0-9.+() -]*$")]


class CorrectionSpec(Strict):
    """The licence of a distribution whose metadata says none, a wrong or an unclear one."""

    name: Text = Field(description="of the distribution, normalised")
    licence: _Expression
    reason: Text = Field(description="where the licence is stated")


class Verdict(StrEnum):
    """What a build does about a licence, from the mildest to the strictest."""

    ALLOW = "allow"
    REVIEW = "review"  # warns, unless a person has reviewed the part
    DENY = "deny"  # refuses the package

    @property
    def strictness(self) -> int:
        """The verdict's place among the three."""
        return list(Verdict).index(self)


class PolicySpec(Strict):
    """The verdicts on licences, by their SPDX names."""

    allow: tuple[_Expression, ...] = ()
    review: tuple[_Expression, ...] = ()
    deny: tuple[_Expression, ...] = ()
    otherwise: Verdict = Field(
        Verdict.REVIEW, description="on what no list names, and on parts without a licence"
    )

    @model_validator(mode="after")
    def _lists_do_not_overlap(self) -> "PolicySpec":
        times = Counter([*self.allow, *self.review, *self.deny])
        twice = sorted(name for name, count in times.items() if count > 1)
        if twice:
            raise ValueError(f"listed twice: {', '.join(twice)}")
        return self

    def verdict(self, licence: str) -> Verdict:
        """Return the verdict on one licence; one with an exception may be listed without it."""
        for name in (licence, licence.partition(" WITH ")[0]):
            for verdict in Verdict:
                if name in getattr(self, verdict.value):
                    return verdict
        return self.otherwise


class ReviewedSpec(Strict):
    """A part whose licence a person has reviewed."""

    name: Text = Field(description="of the distribution or library")
    licence: _Expression = Field(description="that it had then: another one is reviewed anew")
    reason: Text = Field(description="why it may be in the packages")


class LicencesSpec(Strict):
    """The data file of licences."""

    words: dict[str, _Expression] = Field(
        description="of the metadata's License field, in lower case, or the end of a classifier"
    )
    correction: tuple[CorrectionSpec, ...] = ()
    policy: PolicySpec = PolicySpec()
    reviewed: tuple[ReviewedSpec, ...] = ()
