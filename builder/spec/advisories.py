"""The schema of ``pkgspec/advisories.toml``: vulnerabilities that a person has looked at."""

from datetime import date

from pydantic import Field

from builder.spec.types import Strict, Text


class IgnoredSpec(Strict):
    """A vulnerability that an audit passes over for a time."""

    id: Text = Field(description="of the record, or an alias of it: CVE-…, GHSA-…, PYSEC-…")
    part: Text | None = Field(None, description="only in this part; default: in every one")
    reason: Text = Field(description="why it does no harm here")
    until: date = Field(description="the last day; then it is reported again")


class AdvisoriesSpec(Strict):
    """The data file of vulnerabilities that are ignored."""

    ignore: tuple[IgnoredSpec, ...] = ()
