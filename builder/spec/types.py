"""The types of values in ``pkgspec/``, and the model that all of its tables share."""

from typing import Annotated

from packaging.requirements import InvalidRequirement, Requirement
from packaging.version import InvalidVersion, Version
from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    StringConstraints,
)

# Debian policy 5.6.1; rpm accepts all of these.
_PACKAGE_NAME = r"^[a-z0-9][a-z0-9+.-]+$"
_DESCRIPTION_COLUMNS = 79
# systemd.io/USER_NAMES: what systemd-sysusers takes without a warning.
_GROUP_NAME = r"^[a-z_][a-z0-9_-]{0,30}$"
SERVICE_NAME = r"^[a-z][a-z0-9-]*$"


def _hyphens(name: str) -> str:
    return name.replace("_", "-")


def _no_dollar(text: str) -> str:
    # nfpm expands $NAME in metadata and has no escape for it (nfpm.go, expandEnvVars).
    if "$" in text:
        raise ValueError("'$' is not possible here: nfpm would expand what follows it")
    return text


def _absolute(path: str) -> str:
    if not path.startswith("/") or "//" in path or ".." in path.split("/"):
        raise ValueError("must be an absolute path without '..' or '//'")
    return path


def _relative(path: str) -> str:
    if path.startswith("/") or ".." in path.split("/"):
        raise ValueError("must be a path below the project's root, without '..'")
    return path


def _requirement(text: str) -> str:
    try:
        parsed = Requirement(text)
    except InvalidRequirement as error:
        raise ValueError(f"not a requirement: {error}") from error
    if parsed.url:
        raise ValueError("a URL is not possible here: wheels come from the index, by hash")
    return text


def _version(text: str) -> str:
    try:
        Version(text)
    except InvalidVersion as error:
        raise ValueError("not a version by PEP 440") from error
    return text


def _description(text: str) -> str:
    # A line of a control file has 80 characters, a blank among them; lintian warns of more.
    long = [line for line in text.split("\n") if len(line) > _DESCRIPTION_COLUMNS]
    if long:
        raise ValueError(
            f"a line has {len(long[0])} characters, {_DESCRIPTION_COLUMNS} are the limit: "
            f"{long[0][:40]!r}…"
        )
    return text


Text = Annotated[str, AfterValidator(_no_dollar), StringConstraints(min_length=1)]
Description = Annotated[Text, AfterValidator(_description)]
TargetPath = Annotated[str, AfterValidator(_absolute), AfterValidator(_no_dollar)]
SourcePath = Annotated[str, AfterValidator(_relative)]
Summary = Annotated[Text, StringConstraints(max_length=80, pattern=r"^[^\n]*[^\n.]$")]
RequirementText = Annotated[str, AfterValidator(_requirement)]
VersionText = Annotated[str, AfterValidator(_version)]
PackageName = Annotated[str, StringConstraints(pattern=_PACKAGE_NAME)]
GroupName = Annotated[str, StringConstraints(pattern=_GROUP_NAME)]
Mode = Annotated[str, StringConstraints(pattern=r"^0[0-7]{3,4}$")]
Glibc = Annotated[str, StringConstraints(pattern=r"^2\.\d+$")]


class Strict(BaseModel):
    """A table of ``pkgspec/``: frozen, and closed to keys it does not know."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", alias_generator=_hyphens, populate_by_name=False
    )
