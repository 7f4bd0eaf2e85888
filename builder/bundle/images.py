"""Images of a bundle: archives of docker save, given as files or saved from the local engine."""

import gzip
import re
import shutil
import tarfile
import tempfile
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, cast

from builder.base import log
from builder.base.errors import UsageError
from builder.base.model import Arch
from builder.base.parse import TextError, parse_json
from builder.base.paths import PROJECT
from builder.bundle.model import IMAGES, Image
from builder.verify.engine import EngineError, EngineUnavailableError, ImageNotFound, connect

_GZIP = b"\x1f\x8b"
_LEVEL = 6
_BLOCK = 2**20
_LARGEST_TEXT = 2**22
_FILE = re.compile(r"[./]")
_QUESTIONS = PROJECT / "postinst/site/questions.toml"
_SAVE_HINT = "docker save --output FILE NAME writes such a file"


@dataclass(frozen=True, kw_only=True)
class _Found:
    names: tuple[str, ...]
    arch: str


def store_images() -> tuple[str, ...]:
    """Return the images of backendai-halfstack's stores, as site.toml names them by default."""
    table = tomllib.loads(_QUESTIONS.read_text(encoding="utf-8"))
    (section,) = [section for section in table["section"] if section["name"] == "halfstack"]
    images = [item["default"] for item in section["question"] if item["kind"] == "image"]
    return tuple(map(str, images))


def place_images(words: Sequence[str], arch: Arch, tree: Path, work: Path) -> list[Image]:
    """Place the archive of each image below ``tree``, compressed; returns the images by name.

    A word is the path of an archive, or the name of an image that the local engine has. Raises
    UsageError for an image that is nowhere, has no name, or is for another architecture.
    """
    made: dict[str, Image] = {}
    for word in words:
        path = find_archive(word, work)
        found = _read_for(path, word, arch)
        label = found.names[0]
        target = IMAGES / f"{re.sub(r'[^A-Za-z0-9.+_-]', '-', label)}.tar.gz"
        if str(target) in made:
            raise UsageError(f"image {label} is given twice", hint="give it once")
        log.step(f"packing the image {label}")
        (tree / IMAGES).mkdir(exist_ok=True)
        size = _compress(path, tree / target)
        made[str(target)] = Image(name=" ".join(found.names), path=target, size=size)
    return [made[key] for key in sorted(made)]


def _read_for(path: Path, word: str, arch: Arch) -> _Found:
    found = read_archive(path, word)
    if found.arch != arch:
        raise UsageError(
            f"image {word} is for {found.arch}, and the bundle for {arch}",
            hint=f"pull it with: docker pull --platform linux/{arch} NAME",
        )
    return found


def find_archive(word: str, work: Path) -> Path:
    """Return the archive of an image, saved from the engine where ``word`` is a name."""
    path = Path(word)
    if path.is_file():
        return path
    if _FILE.match(word) or word.endswith((".tar", ".tar.gz", ".tgz")):
        raise UsageError(f"cannot read the image {word}: no such file", hint=_SAVE_HINT)
    name = word if ":" in word.rpartition("/")[2] or "@" in word else f"{word}:latest"
    target = work / "image.tar"
    try:
        client = connect()
    except EngineUnavailableError as error:
        raise UsageError(
            f"image {word}: there is no such file, and {error.message}", hint=_SAVE_HINT
        ) from error
    try:
        with target.open("wb") as file:
            for block in client.images.get(name).save(named=name, chunk_size=_BLOCK):
                file.write(block)
    except ImageNotFound as error:
        raise UsageError(
            f"image {name}: neither a file nor an image of the local Docker engine",
            hint=f"run: docker pull {name}; or give the file that docker save wrote",
        ) from error
    except EngineError as error:
        raise UsageError(f"image {name}: Docker cannot save it: {error}") from error
    finally:
        client.close()
    return target


def read_archive(path: Path, label: str) -> _Found:
    """Read the names and the architecture of a docker archive; raises UsageError if it is none."""
    try:
        with tarfile.open(path) as archive:
            (entry,) = _json(archive, "manifest.json")
            names = tuple(str(name) for name in entry.get("RepoTags") or ())
            config = _json(archive, str(entry["Config"]))
            arch = str(config["architecture"])
    except (tarfile.TarError, OSError, EOFError, KeyError, ValueError, TextError, TypeError) as e:
        raise UsageError(
            f"image {label}: {path} is not the archive of one image: {e}", hint=_SAVE_HINT
        ) from e
    if not names:
        raise UsageError(
            f"image {label}: the archive has no name for it, so a host could not refer to it",
            hint="save it by its name, not by its id",
        )
    return _Found(names=names, arch=arch)


def _json(archive: tarfile.TarFile, name: str) -> Any:
    member = archive.getmember(name)
    file = archive.extractfile(member)
    if file is None or member.size > _LARGEST_TEXT:
        raise ValueError(f"its {name} is no small file")
    return parse_json(file.read())


def _compress(source: Path, target: Path) -> int:
    """Compress a file, without a name and a time; copies one that is compressed already."""
    with source.open("rb") as file, target.open("wb") as raw:
        if file.read(len(_GZIP)) == _GZIP:
            file.seek(0)
            shutil.copyfileobj(file, raw, _BLOCK)
        else:
            file.seek(0)
            with gzip.GzipFile("", "wb", _LEVEL, raw, mtime=0) as packed:
                shutil.copyfileobj(file, cast("IO[bytes]", packed), _BLOCK)
    return target.stat().st_size


def plan_images(words: Sequence[str], arch: Arch) -> list[Image]:
    """Return the images that would come along, and their size as they are now.

    Raises UsageError as :func:`place_images` does, and writes nothing.
    """
    with tempfile.TemporaryDirectory() as folder:
        planned = []
        for word in words:
            path = find_archive(word, Path(folder))
            found = _read_for(path, word, arch)
            name = " ".join(found.names)
            planned.append(Image(name=name, path=IMAGES / path.name, size=path.stat().st_size))
    return planned
