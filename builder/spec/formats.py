"""The tables of a package that only a deb or only an rpm has."""

from pydantic import (
    Field,
)

from builder.spec.types import (
    SourcePath,
    Strict,
    Text,
)


class DebScripts(Strict):
    """Maintainer scripts."""

    preinst: SourcePath | None = None
    postinst: SourcePath | None = None
    prerm: SourcePath | None = None
    postrm: SourcePath | None = None
    config: SourcePath | None = Field(None, description="asks debconf's questions")
    templates: SourcePath | None = Field(None, description="debconf's questions themselves")


class RpmScripts(Strict):
    """Scriptlets."""

    pretrans: SourcePath | None = None
    pre: SourcePath | None = None
    post: SourcePath | None = None
    preun: SourcePath | None = None
    postun: SourcePath | None = None
    posttrans: SourcePath | None = None


class DebSpec(Strict):
    """What only a deb has."""

    depends: tuple[Text, ...] = ()
    recommends: tuple[Text, ...] = ()
    suggests: tuple[Text, ...] = ()
    conflicts: tuple[Text, ...] = ()
    triggers_interest: tuple[Text, ...] = ()
    scripts: DebScripts = DebScripts()


class RpmSpec(Strict):
    """What only an rpm has."""

    depends: tuple[Text, ...] = ()
    recommends: tuple[Text, ...] = ()
    suggests: tuple[Text, ...] = ()
    conflicts: tuple[Text, ...] = ()
    scripts: RpmScripts = RpmScripts()
