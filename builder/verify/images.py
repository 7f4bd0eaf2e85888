"""The images of hosts: a distribution's own, with systemd and the stores added."""

from collections.abc import Iterator
from contextlib import contextmanager

from builder.base import log
from builder.base.cache import key_of
from builder.base.errors import BuilderError, ToolError
from builder.base.run import failure_text
from builder.verify import managers
from builder.verify.distributions import Distribution, parse_os_release
from builder.verify.engine import Client, Container, EngineError, ImageNotFound, execute
from builder.verify.hosts import LABEL, RUN_ID

REPOSITORY = "backendai-verify"
# Raise it when code below changes the content of an image.
_RECIPE = 1
_LIMIT_S = 600  # of silence while packages are installed
_OFFLINE_HINT = (
    "name an image that this engine has: --image NAME ('docker images' lists them); "
    "in this project 'python -m tests.integration.images' makes some from Debian's mirror"
)
# Keeps apt from starting installed services while an image is made.
_NO_START = "/usr/sbin/policy-rc.d"


def os_release(client: Client, image: str) -> dict[str, str]:
    """Read the /etc/os-release of an image."""
    fetch(client, image)
    with _container(client, image) as container:
        return parse_os_release(_call(container, ["cat", "/etc/os-release"]))


def host_image(client: Client, distribution: Distribution) -> str:
    """Return the image of a host with the stores installed and stopped, made if it is absent.

    Raises ToolError if the distribution's image cannot be made.
    """
    base = fetch(client, distribution.image)
    recipe = distribution.model_dump(mode="json")
    tag = f"{distribution.name}-{key_of([base, recipe, _RECIPE])[:12]}"
    name = f"{REPOSITORY}:{tag}"
    if not _has(client, name):
        log.step(f"making {name} of {distribution.image}")
        with _container(client, distribution.image) as container:
            try:
                _set_up(container, distribution)
            except BuilderError as error:
                raise ToolError(
                    f"{distribution.image} cannot be made a host: {error.message}",
                    hint="its packages must be in reach; " + _OFFLINE_HINT,
                ) from error
            container.commit(repository=REPOSITORY, tag=tag, changes=[f'LABEL {LABEL}=""'])
    return name


def fetch(client: Client, image: str) -> str:
    """Return the id of an image, pulled if the engine does not have it."""
    try:
        return str(client.images.get(image).id)
    except ImageNotFound:
        log.step(f"pulling {image}")
    try:
        return str(client.images.pull(image).id)
    except EngineError as error:
        raise ToolError(f"image {image} cannot be pulled: {error}", hint=_OFFLINE_HINT) from error


def _set_up(container: Container, distribution: Distribution) -> None:
    manager = distribution.manager
    _call(
        container,
        ["sh", "-c", f"printf '#!/bin/sh\\nexit 101\\n' >{_NO_START}; chmod +x {_NO_START}"],
    )
    wanted = [*distribution.base, *distribution.stores]
    if wanted:
        _call(container, managers.refresh(manager))
        _call(container, managers.install(manager, wanted))
    for unit, text in distribution.drop_ins.items():
        folder = f"/etc/systemd/system/{unit}.service.d"
        script = f'mkdir -p {folder} && printf %s "$0" >{folder}/container.conf'
        _call(container, ["sh", "-c", script, text])
    for script in distribution.setup:
        _call(container, ["sh", "-c", script])
    if distribution.units:
        _call(container, ["systemctl", "disable", *distribution.units])
    _call(container, ["sh", "-c", f"rm {_NO_START}; : >/etc/machine-id"])


@contextmanager
def _container(client: Client, image: str) -> Iterator[Container]:
    container = client.containers.run(
        image,
        entrypoint=["sleep", "infinity"],
        command=[],
        labels={LABEL: RUN_ID},
        init=True,
        detach=True,
        volumes={},
    )
    try:
        yield container
    finally:
        container.remove(v=True, force=True)


def _call(container: Container, words: list[str]) -> str:
    done = execute(container, words, limit=_LIMIT_S)
    if done.status:
        raise ToolError(failure_text(words, done.status, [done.stdout, done.stderr]))
    return done.stdout


def _has(client: Client, name: str) -> bool:
    try:
        client.images.get(name)
    except ImageNotFound:
        return False
    return True
