"""The schema of ``pkgspec/licences.toml``: which SPDX licence the words of metadata mean."""

from typing import Annotated

from pydantic import Field, StringConstraints

from builder.spec.types import Strict, Text

_Expression = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9(][A-Za-z0-9.+() -]*$")]


class CorrectionSpec(Strict):
    """The licence of a distribution whose metadata says none, a wrong or an unclear one."""

    name: Text = Field(description="of the distribution, normalised")
    licence: _Expression
    reason: Text = Field(description="where the licence is stated")


class LicencesSpec(Strict):
    """The data file of licences."""

    words: dict[str, _Expression] = Field(
        description="of the metadata's License field, in lower case, or the end of a classifier"
    )
    correction: tuple[CorrectionSpec, ...] = ()
