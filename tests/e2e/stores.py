"""The images of the halfstack's stores, made of a distribution's servers: no registry is here."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from builder.base.paths import PROJECT
from builder.bundle.images import store_images
from builder.verify.engine import Client, ImageNotFound
from tests.integration.images import Images, Suite

_ENTRY_POINT = "docker-entrypoint.sh"
_SOURCE = PROJECT / "tests/integration/data/stores-entrypoint.sh"
_PATH = "/usr/local/bin:/usr/lib/postgresql/17/bin:/usr/bin:/usr/sbin:/bin:/sbin"
# The servers need none of these, and each image of the bundle is compressed.
_UNNEEDED = (
    "/usr/share/doc /usr/share/locale /usr/share/man /usr/share/perl /usr/share/i18n /var/cache"
    " /var/lib/apt /var/lib/postgresql /usr/lib/postgresql/*/lib/*llvm* /usr/lib/postgresql/*/lib/"
    "bitcode /usr/lib/*/libLLVM* /usr/lib/*/libz3*"
)
_MAKE = (
    f"cd /usr/local/bin && printf '%s' \"$SOURCE\" >{_ENTRY_POINT} && chmod 0755 {_ENTRY_POINT}"
    f" && ln -s /usr/bin/etcd /usr/local/bin/etcd && rm -rf {_UNNEEDED}"
)
_CHANGES = (
    f'ENTRYPOINT ["{_ENTRY_POINT}"]',
    f"ENV PATH={_PATH}",
    "WORKDIR /data",
)


@contextmanager
def images(client: Client, scratch: Path) -> Iterator[None]:
    """Have the images by their default names in the engine, and remove them after."""
    made = client.containers.create(
        Images(client).stores(Suite.TRIXIE),
        entrypoint=["sh", "-c", _MAKE],  # its own is systemd
        environment={"SOURCE": _SOURCE.read_text()},
    )
    tree = scratch / "tree.tar"
    try:
        made.start()
        assert made.wait()["StatusCode"] == 0, made.logs()
        with tree.open("wb") as file:
            file.writelines(made.export())
        # One layer of what is left: a commit would keep what is removed.
        for name in store_images():
            repository, _, tag = name.rpartition(":")
            client.api.import_image_from_file(str(tree), repository, tag, changes=list(_CHANGES))
        yield
    finally:
        made.remove(force=True)
        tree.unlink(missing_ok=True)
        for name in store_images():
            with suppress(ImageNotFound):
                client.images.remove(name, force=True)
