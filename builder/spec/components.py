"""The schema of ``pkgspec/components.toml``: the libraries that CPython brings."""

from fnmatch import fnmatchcase
from typing import Annotated

from pydantic import Field, StringConstraints

from builder.spec.types import Strict, Text

_Cpe = Annotated[str, StringConstraints(pattern=r"^[a-z0-9_.-]+:[a-z0-9_.-]+$")]


class LibraryFacts(Strict):
    """One library, by the packages of distributions that it comes in."""

    name: Text = Field(description="upstream's name, as in package URLs")
    packages: tuple[Text, ...] = Field(
        min_length=1, description="globs of package names, Debian's and rpm's"
    )
    cpe: _Cpe | None = Field(None, description="vendor:product; default: it has no CPE")
    debian: Text | None = Field(
        None, description="Debian's source package, by which its advisories are; default: name"
    )
    repository: Text | None = Field(
        None, description="the end of its repository's address, OWNER/NAME in lower case"
    )
    licence: Text = Field(description="SPDX expression of the library alone")

    def matches(self, package: str) -> bool:
        """Return whether a distribution's package has this library."""
        return any(fnmatchcase(package, glob) for glob in self.packages)


class ComponentsSpec(Strict):
    """The data file of all libraries."""

    library: tuple[LibraryFacts, ...] = ()
