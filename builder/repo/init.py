"""Makes an empty repository."""

from dataclasses import dataclass
from pathlib import Path

from builder.base.errors import RepoError, SpecError
from builder.base.files import PUBLIC_FILE, make_public_folder
from builder.base.pages import text_template
from builder.base.storage import storage_guard
from builder.repo.config import CONFIG_NAME, load_config
from builder.repo.state import open_state

_TEMPLATE = Path(__file__).parent / "templates" / "repo.toml.j2"


@dataclass(frozen=True, kw_only=True)
class InitRequest:
    """The settings of a new repository."""

    name: str
    label: str
    base_url: str
    keys: tuple[str, ...]
    channels: tuple[str, ...]


def init_repository(root: Path, request: InitRequest) -> Path:
    """Write ``repo.toml`` and an empty state into ``root``; returns the path of ``repo.toml``.

    Raises RepoError if a repository exists there, SpecError if a value is invalid.
    """
    path = root / CONFIG_NAME
    if path.exists():
        raise RepoError(f"{path} is there already", hint="edit it, or choose another --root")
    part = root / f".{CONFIG_NAME}.new" / CONFIG_NAME
    with storage_guard(path):
        make_public_folder(root)
        part.parent.mkdir(exist_ok=True)
        try:
            part.write_text(render_config(request), encoding="utf-8")
            try:
                load_config(part.parent)
            except SpecError as error:
                problems = [problem.replace(str(part), CONFIG_NAME) for problem in error.problems]
                raise SpecError(problems, hint="fix the option's value") from error
            with open_state(root, create=True):
                pass
            part.chmod(PUBLIC_FILE)
            part.replace(path)
        finally:
            part.unlink(missing_ok=True)
            part.parent.rmdir()
    return path


def render_config(request: InitRequest) -> str:
    """Render the text of a new ``repo.toml``. Pure."""
    return text_template(_TEMPLATE).render(request=request)
