"""The registries that site.toml names, and the checks of their answers."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from ipaddress import ip_address
from urllib.parse import SplitResult, urlsplit

from backendai_ctl.answers.kinds import host_of
from backendai_ctl.answers.site import Site
from backendai_ctl.base.errors import SiteError

SECTION = "registry"
LOCAL = "local"  # images that Docker on the node already has
_HUB = "docker.io"


@dataclass(frozen=True, kw_only=True)
class Registry:
    """One registry, from its section of site.toml."""

    section: str
    name: str  # HOST or HOST:PORT, with which the images' names begin
    url: str
    type: str
    projects: tuple[str, ...]
    user: str = ""
    password: str = field(default="", repr=False)
    ca: str = ""
    # Whether every answer is the default, so that nobody asked for this registry.
    is_default: bool = False

    @property
    def parts(self) -> SplitResult:
        """The parts of the URL."""
        return urlsplit(self.url)

    @property
    def has_tls(self) -> bool:
        """Whether the URL requires TLS."""
        return self.parts.scheme == "https"

    @property
    def is_local(self) -> bool:
        """Whether it is the Docker of the node rather than a server."""
        return self.type == LOCAL

    @property
    def is_hub(self) -> bool:
        """Whether it is Docker Hub, whose accounts the release cannot scan as a whole."""
        host = self.parts.hostname or ""
        return host == _HUB or host.endswith(f".{_HUB}")

    @property
    def is_loopback(self) -> bool:
        """Whether it runs on the node itself: Docker pulls from there without TLS."""
        host = self.parts.hostname or ""
        try:
            return ip_address(host).is_loopback
        except ValueError:
            return host == "localhost"


def registries_of(site: Site) -> tuple[Registry, ...]:
    """Return every registry that site.toml names; SiteError if two of them are the same."""
    sections = [SECTION, *(f"{SECTION}.{label}" for label in site.questions.labels(SECTION))]
    found = tuple(_registry(site, section) for section in sections)
    problems = list(_doubles(found))
    if problems:
        raise SiteError(problems, hint="give each its own name, or its own projects")
    return found


def _registry(site: Site, section: str) -> Registry:
    questions = site.questions.of_section(section)
    answers = {question.key: str(site[question.name]) for question in questions}
    defaults = {question.key: str(question.default) for question in questions}
    defaults["name"] = host_of(defaults["url"])
    projects = (word.strip() for word in answers.pop("projects").split(","))
    return Registry(
        section=section,
        projects=tuple(word for word in projects if word),
        is_default=section == SECTION
        and all(value == defaults[key] for key, value in answers.items()),
        **answers,
    )


def _doubles(registries: tuple[Registry, ...]) -> Iterator[str]:
    seen: dict[tuple[str, str], str] = {}
    for registry in registries:
        for project in registry.projects or ("",):
            first = seen.setdefault((registry.name, project), registry.section)
            if first != registry.section:
                where = f"{registry.name}/{project}" if project else registry.name
                yield f"[{registry.section}] is {where}, as [{first}] is"


def problems_of(registry: Registry) -> Iterator[tuple[str, str]]:
    """Yield answers that cannot work, as key and reason; the answers alone are checked."""
    if registry.is_local:
        if registry.name != LOCAL:
            yield "name", f"'{registry.name}': a registry of type local is called 'local'"
        return
    yield from _problems_of_url(registry)
    if not registry.projects:
        yield "projects", "is empty: no image is found without the project that it is in"
    if registry.user and not registry.password:
        yield "password", f"is empty, and the user is '{registry.user}'"
    if registry.password and not registry.user:
        yield "user", "is empty, and there is a password"
    if not _is_latin(registry.user + registry.password):
        yield "password", "has letters beyond Latin-1, which the manager cannot send"
    if registry.ca and not registry.has_tls:
        yield "ca", f"is not used: {registry.url} has no TLS"


def _problems_of_url(registry: Registry) -> Iterator[tuple[str, str]]:
    try:
        _ = registry.parts.port
    except ValueError:
        yield "url", f"'{registry.url}': the port is not a number from 1 to 65535"
        return
    if registry.parts.path.strip("/"):
        reason = "Docker reaches a registry by its host and port alone; what follows is a project"
        yield "url", f"'{registry.url}' has a path: {reason}"
    host = host_of(registry.url)
    if registry.is_hub:
        image = f"{registry.name}/PROJECT/IMAGE:TAG"
        reason = "the manager scans no whole account of Docker Hub; scan each image by"
        yield "url", f"{reason} `backend.ai mgr image rescan {image}`"
    elif host != registry.name.lower():
        reason = f"is not the host and port of the URL, {host}; agents pull from"
        yield "name", f"'{registry.name}' {reason} {registry.name}"


def _is_latin(text: str) -> bool:
    try:
        text.encode("latin-1")
    except UnicodeEncodeError:
        return False
    return True
