"""Where things lie on the target, below a root that is / except in images and tests."""

from dataclasses import dataclass
from pathlib import Path

SERVICES = "/opt/backendai"


@dataclass(frozen=True, kw_only=True)
class Layout:
    """The folders of the target; a path in a message is the one the admin sees."""

    root: Path = Path("/")

    @property
    def etc(self) -> Path:
        """What the admin edits."""
        return self.root / "etc/backend.ai"

    @property
    def site(self) -> Path:
        """The one file of answers."""
        return self.etc / "site.toml"

    @property
    def state(self) -> Path:
        """What the packages keep between runs."""
        return self.root / "var/lib/backendai"

    @property
    def secrets(self) -> Path:
        """Secrets and key pairs made on this host, or carried from the first node."""
        return self.state / "secrets"

    @property
    def generated(self) -> Path:
        """One record per file that this tool made: the hash of what it last offered."""
        return self.state / "generated"

    @property
    def early_answers(self) -> Path:
        """Answers from before site.toml could be made; gone once it is."""
        return self.state / "early-answers"

    @property
    def shipped(self) -> Path:
        """What the packages' own tools and data are below."""
        return self.root / "usr/lib/backendai"

    @property
    def suggestions(self) -> Path:
        """Answers that installed packages suggest for a site.toml yet to be made."""
        return self.shipped / "suggestions"

    @property
    def questions(self) -> Path:
        """What site.toml answers; shipped by backendai-common."""
        return self.root / "usr/lib/backendai/questions.toml"

    @property
    def recipes(self) -> Path:
        """How each installed service's configuration is made; shipped by its package."""
        return self.root / "usr/lib/backendai/recipes"

    @property
    def addons(self) -> Path:
        """What each installed add-on says of itself; shipped by its package."""
        return self.shipped / "addons"

    def python(self, service: str) -> Path:
        """The private CPython of ``service``."""
        return self.root / SERVICES.lstrip("/") / service / "bin/python3"

    def samples(self, service: str) -> Path:
        """The sample configurations of the installed release of ``service``."""
        return self.root / SERVICES.lstrip("/") / service / "share/backendai/samples"
