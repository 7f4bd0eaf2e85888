"""Carries a node's secrets to the other nodes of the cluster, as a tar archive."""

import hashlib
import io
import lzma
import re
import tarfile
import zlib
from collections.abc import Mapping, Sequence

from backendai_ctl.answers.secretstore import SecretStore
from backendai_ctl.base.errors import HostError, TargetError
from backendai_ctl.base.layout import Layout
from backendai_ctl.base.text import value_of
from backendai_ctl.services.recipe import installed_services, load_recipe
from backendai_ctl.services.record import Record

_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,199}")
_MAX_BYTES = 65536
# Errors that the standard library raises for a truncated or damaged archive, however compressed.
_DAMAGE = (tarfile.TarError, OSError, EOFError, zlib.error, lzma.LZMAError, ValueError)
# The secrets that distinguish one node from the others.
_OF_NODE = "agent-rpc."


def pack_secrets(layout: Layout) -> bytes:
    """Return an archive of every secret that nodes share; HostError if one cannot be read."""
    buffer = io.BytesIO()
    try:
        with tarfile.open(fileobj=buffer, mode="w") as archive:
            for path in sorted(layout.secrets.glob("[!.]*")):
                if path.name.startswith(_OF_NODE):
                    continue
                content = path.read_bytes()
                member = tarfile.TarInfo(path.name)
                member.size, member.mode = len(content), 0o600
                archive.addfile(member, io.BytesIO(content))
    except OSError as error:
        raise HostError(f"cannot read {error.filename}: {error.strerror}") from error
    return buffer.getvalue()


def unpack_secrets(content: bytes) -> dict[str, str]:
    """Return the secrets in an archive, by name; TargetError if it is not one of this tool's."""
    found: dict[str, str] = {}
    try:
        with tarfile.open(fileobj=io.BytesIO(content)) as archive:
            for member in archive:
                name = member.name.removeprefix("./")
                if member.isdir() and not name.strip("."):
                    continue
                reader = archive.extractfile(member)
                fits = member.isfile() and _NAME.fullmatch(name) and member.size <= _MAX_BYTES
                if reader is None or not fits:
                    raise TargetError(f"the archive has '{member.name}', which is no secret")
                found[name] = reader.read().decode("utf-8")
    except _DAMAGE as error:
        raise TargetError(f"this is no archive of secrets: {error}") from error
    if not found:
        raise TargetError("the archive is empty")
    return found


def import_secrets(
    layout: Layout, store: SecretStore, secrets: Mapping[str, str], *, replace: bool
) -> list[str]:
    """Write the secrets; return the names of those that are new or changed.

    Raises TargetError, before any change, if this host has other secrets and ``replace``
    is not set.
    """
    present = {
        name: (layout.secrets / name).read_text(encoding="utf-8")
        for name in secrets
        if (layout.secrets / name).exists()
    }
    other = [name for name, text in present.items() if value_of(text) != value_of(secrets[name])]
    if other and not replace:
        raise TargetError(
            f"this host has another {', '.join(other)}",
            hint="with --replace they become the archive's; what was made with the old ones,"
            " such as a database of this host alone, no longer fits",
        )
    store.writer.ensure_folder(layout.secrets)
    changed = [name for name in secrets if name not in present or name in other]
    # A key pair's secret half comes last: it marks the pair as complete.
    for name in sorted(changed, key=lambda name: name.endswith("_secret")):
        store.writer_of(name).replace(layout.secrets / name, secrets[name])
    return changed


def remove_unmodified_configs(layout: Layout) -> tuple[Sequence[str], Sequence[str]]:
    """Remove the configuration files that this tool created and nobody has edited.

    Returns the services to configure again, and the files that an admin has to correct.
    """
    services: list[str] = []
    edited: list[str] = []
    for service in installed_services(layout):
        for config in load_recipe(layout, service).configs:
            path = layout.etc / config.file
            record = Record.load(layout.generated / config.file)
            if record is None or not path.exists():
                continue
            if record.made and hashlib.sha256(path.read_bytes()).hexdigest() == record.digest:
                path.unlink()
            else:
                edited.append(str(path))
        services.append(service)
    return services, edited
