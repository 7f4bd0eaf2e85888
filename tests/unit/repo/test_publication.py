"""The order of publication, and that a reader is never left with half of it."""

import random
from collections.abc import Mapping
from datetime import timedelta
from pathlib import PurePosixPath

import pytest

from builder.repo.model import FileFacts
from builder.repo.publication import Phase, Published, phase_of, plan_publication
from tests.helpers.repos import NOW

_GRACE = timedelta(hours=1)
_ID = "0123456789abcdef0123456789abcdef"


@pytest.mark.parametrize(
    ("path", "phase"),
    [
        ("pool/main/t/tool/tool_1.0_all.deb", Phase.CONTENT),
        (f"dists/stable/main/binary-amd64/by-hash/SHA256/{_ID}", Phase.CONTENT),
        (f"rpm/stable/main/x86_64/repodata/{_ID}{_ID}-primary.xml.gz", Phase.CONTENT),
        (f"rpm/stable/main/x86_64.{_ID}/repodata/repomd.xml", Phase.CONTENT),
        (f"rpm/stable/main/x86_64.{_ID}/repodata/repomd.xml.asc", Phase.CONTENT),
        ("dists/stable/main/binary-amd64/Packages.gz", Phase.INDEX),
        ("dists/stable/main/Contents-amd64.xz", Phase.INDEX),
        ("keys/example.asc", Phase.INDEX),
        ("dists/stable/Release", Phase.SIGNATURE),
        ("dists/stable/Release.gpg", Phase.SIGNATURE),
        ("rpm/stable/main/x86_64/repodata/repomd.xml.asc", Phase.SIGNATURE),
        ("dists/stable/InRelease", Phase.ENTRY),
        ("rpm/stable/main/x86_64/repodata/repomd.xml", Phase.ENTRY),
        ("rpm/stable/main/x86_64/mirrorlist", Phase.ENTRY),
        ("index.html", Phase.PAGE),
    ],
)
def test_phase(path: str, phase: Phase) -> None:
    assert phase_of(PurePosixPath(path)) is phase


def _facts(text: str) -> FileFacts:
    return FileFacts(sha256=text, size=len(text))


def _tree(generation: int) -> dict[PurePosixPath, FileFacts]:
    """InRelease names what lies by-hash, and that names a package."""
    name = f"{generation:032x}"
    return {
        PurePosixPath("dists/stable/InRelease"): _facts(name),
        PurePosixPath(f"dists/stable/main/by-hash/SHA256/{name}"): _facts(name),
        PurePosixPath("dists/stable/main/Packages"): _facts(name),
        PurePosixPath(f"pool/main/t/tool/tool_{generation}_all.deb"): _facts(name),
    }


def _readable(present: Mapping[PurePosixPath, FileFacts]) -> bool:
    entry = present.get(PurePosixPath("dists/stable/InRelease"))
    if entry is None:
        return True  # not there yet, which is a state, too
    generation = int(entry.sha256, 16)
    wanted = [path for path in _tree(generation) if phase_of(path) is Phase.CONTENT]
    return all(path in present for path in wanted)


def test_a_reader_is_whole_after_every_single_step_of_every_run() -> None:
    dice = random.Random(1)
    record: dict[PurePosixPath, Published] = {}
    disk: dict[PurePosixPath, FileFacts] = {}
    now = NOW
    for generation in range(1, 200):
        now += timedelta(minutes=dice.randrange(90))
        publication = plan_publication(_tree(generation), record, now, _GRACE)
        stop = dice.randrange(2 * len(publication.puts) + 1)  # half of the runs are cut off
        for number, put in enumerate(publication.puts):
            if number == stop:
                break
            disk[put.path] = put.facts
            record[put.path] = Published(facts=put.facts)
            assert _readable(disk)
        else:
            for path in publication.retire:
                record[path] = Published(facts=record[path].facts, retired=now)
            for path in publication.delete:
                del disk[path], record[path]
                assert _readable(disk)
    assert len(disk) < 60  # what was out of use has gone


def test_only_what_differs_is_put_and_strangers_are_left_alone() -> None:
    first = _tree(1)
    present = {path: Published(facts=facts) for path, facts in first.items()}
    assert plan_publication(first, present, NOW, _GRACE).is_empty
    publication = plan_publication(_tree(2), present, NOW, _GRACE)
    assert [phase_of(put.path) for put in publication.puts] == [
        Phase.CONTENT,
        Phase.CONTENT,
        Phase.INDEX,
        Phase.ENTRY,
    ]
    assert len(publication.retire) == 2
    assert not len(publication.delete)
    (entry,) = publication.puts.in_phase(Phase.ENTRY)
    assert entry.path.name == "InRelease"


def test_what_is_wanted_again_ends_its_grace() -> None:
    path = PurePosixPath("pool/main/t/tool/tool_1_all.deb")
    retired = {path: Published(facts=_facts("a"), retired=NOW - 2 * _GRACE)}
    again = plan_publication({path: _facts("a")}, retired, NOW, _GRACE)
    assert [put.path for put in again.puts] == [path]
    assert not len(again.delete)
    assert list(plan_publication({}, retired, NOW, _GRACE).delete) == [path]
    assert plan_publication({}, retired, NOW - 2 * _GRACE, _GRACE).is_empty
