"""Images of a bundle: what is refused, and that the same archive makes the same bytes."""

import gzip
import io
import json
import re
import tarfile
from pathlib import Path

import pytest

from builder.base.errors import UsageError
from builder.base.model import Arch
from builder.base.paths import PROJECT
from builder.bundle.images import place_images, store_images


def archive(path: Path, name: str | None = "team/image:1", arch: str = "amd64") -> Path:
    """An archive as docker save writes it, without layers."""
    tags = [name] if name else None
    parts = {
        "manifest.json": [{"Config": "config.json", "RepoTags": tags, "Layers": []}],
        "config.json": {"architecture": arch, "os": "linux"},
    }
    with tarfile.open(path, "w") as file:
        for member, value in parts.items():
            data = json.dumps(value).encode()
            info = tarfile.TarInfo(member)
            info.size = len(data)
            file.addfile(info, io.BytesIO(data))
    return path


def place(tmp_path: Path, *words: Path | str) -> list[str]:
    """Place images; returns their names."""
    tree = tmp_path / "tree"
    tree.mkdir(exist_ok=True)
    made = place_images([str(word) for word in words], Arch.AMD64, tree, tmp_path)
    return [image.name for image in made]


def test_an_archive_is_compressed_without_a_time(tmp_path: Path) -> None:
    given = archive(tmp_path / "image.tar")
    assert place(tmp_path, given) == ["team/image:1"]
    target = tmp_path / "tree/images/team-image-1.tar.gz"
    data = target.read_bytes()
    assert gzip.decompress(data) == given.read_bytes()
    assert data[3:8] == bytes(5)  # no name, no time


def test_a_compressed_archive_stays_as_it_is(tmp_path: Path) -> None:
    packed = tmp_path / "image.tar.gz"
    packed.write_bytes(gzip.compress(archive(tmp_path / "image.tar").read_bytes()))
    place(tmp_path, packed)
    assert (tmp_path / "tree/images/team-image-1.tar.gz").read_bytes() == packed.read_bytes()


def test_what_is_refused(tmp_path: Path) -> None:
    foreign = archive(tmp_path / "arm.tar", arch="arm64")
    nameless = archive(tmp_path / "id.tar", name=None)
    text = tmp_path / "text.tar"
    text.write_text("no archive")
    cut = tmp_path / "cut.tar"
    cut.write_bytes(foreign.read_bytes()[:700])
    for path, message in {
        foreign: "is for arm64, and the bundle for amd64",
        nameless: "has no name for it",
        text: "is not the archive of one image",
        cut: "is not the archive of one image",
        tmp_path / "absent.tar": "no such file",
    }.items():
        with pytest.raises(UsageError, match=message) as error:
            place(tmp_path, path)
        assert str(path) in error.value.message
        assert error.value.hint


def test_an_image_that_is_given_twice(tmp_path: Path) -> None:
    one, two = archive(tmp_path / "a.tar"), archive(tmp_path / "b.tar")
    with pytest.raises(UsageError, match="team/image:1 is given twice"):
        place(tmp_path, one, two)


def test_the_images_of_the_stores_are_those_that_a_host_asks_for() -> None:
    compose = (PROJECT / "postinst/services/halfstack/halfstack.yml").read_text()
    asked = re.findall(r"\{halfstack\.([a-z-]+)!compose\}", compose)
    assert asked
    questions = (PROJECT / "postinst/site/questions.toml").read_text()
    defaults = [
        re.search(rf'key = "{name}"\nkind = "image"\ndefault = "(.+)"', questions) for name in asked
    ]
    assert list(store_images()) == [found[1] for found in defaults if found]
    assert len(store_images()) == len(asked)


def test_a_name_without_an_engine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/no.sock")
    with pytest.raises(UsageError, match="image team/image:1: there is no such file, and docker"):
        place(tmp_path, "team/image:1")
