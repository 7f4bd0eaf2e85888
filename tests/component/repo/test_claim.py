"""Two publishers to one target: the second is refused, and a killed one's lock has a way out."""

import json
import threading
from pathlib import Path

import pytest
from botocore.exceptions import ClientError
from mypy_boto3_s3.client import S3Client

from builder.base.errors import RepoError
from builder.repo.publish import Place
from builder.repo.publish.claim import describe_claim, publishing_alone
from builder.repo.publish.folder import FolderPublisher
from builder.repo.publish.s3 import S3Publisher
from tests.helpers.repos import BUCKET


def _hold(place: Place, note: Path, *, break_claims: bool = False) -> None:
    with publishing_alone(place, "www", note, break_claims=break_claims):
        assert len(place.claims()) == 1


def test_a_second_publisher_is_refused_with_owner_and_time(place: Place, tmp_path: Path) -> None:
    with publishing_alone(place, "www", tmp_path / "note"):
        with pytest.raises(RepoError) as caught:
            _hold(place, tmp_path / "other")
        assert caught.value.message.startswith("another publisher is writing to www: ")
        assert "(process " in caught.value.message
        assert caught.value.message.endswith(" UTC")
        assert "builder repo publish --target www --break-lock" in str(caught.value.hint)
        assert not (tmp_path / "other").exists()
        assert len(place.claims()) == 1  # that of the first
    assert not place.claims()
    _hold(place, tmp_path / "other")
    assert not place.claims()


def test_a_failed_publication_leaves_no_lock(place: Place, tmp_path: Path) -> None:
    def fail() -> None:
        with publishing_alone(place, "www", tmp_path / "note"):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fail()
    assert not place.claims()
    assert not (tmp_path / "note").exists()


def test_the_lock_of_a_killed_publisher_is_broken_on_request(
    place: Place, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    place.claim("dead", b'{"owner": "ci@old", "since": "2026-01-01 00:00:00 UTC"}')
    with pytest.raises(RepoError, match="ci@old since 2026-01-01 00:00:00 UTC"):
        _hold(place, tmp_path / "note")
    assert len(place.claims()) == 1
    _hold(place, tmp_path / "note", break_claims=True)
    assert "www: removing the lock of ci@old since 2026" in caplog.text
    assert not place.claims()


def test_the_same_repository_goes_on_after_it_was_killed(place: Place, tmp_path: Path) -> None:
    note = tmp_path / "note"
    note.write_bytes(b'{"owner": "ci@here", "since": "now", "nonce": "1"}')
    place.claim("1", note.read_bytes())
    with pytest.raises(RepoError):
        _hold(place, tmp_path / "another repository's")
    _hold(place, note)
    assert not note.exists()
    assert not place.claims()


def test_a_lock_that_was_broken_and_taken_is_left_to_its_owner(
    place: Place, tmp_path: Path
) -> None:
    with publishing_alone(place, "www", tmp_path / "note"):
        place.unclaim(place.claims())
        place.claim("other", b"of another")
    assert list(place.claims().values()) == [b"of another"]


def test_a_lock_is_no_file_of_the_tree(place: Place, tmp_path: Path) -> None:
    with publishing_alone(place, "www", tmp_path / "note"):
        assert not list(place.list())


def test_of_many_that_begin_at_once_at_most_one_publishes(tmp_path: Path) -> None:
    place, barrier = FolderPublisher(tmp_path / "www"), threading.Barrier(8)
    inside: list[int] = []
    most: list[int] = []

    def work(number: int) -> None:
        barrier.wait()
        for turn in range(20):
            try:
                with publishing_alone(place, "www", tmp_path / f"note-{number}-{turn}"):
                    inside.append(number)
                    most.append(len(inside))
                    inside.remove(number)
            except RepoError:
                continue

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert set(most) <= {1}
    assert not place.claims()


def test_a_store_without_conditional_writes_is_read_first(
    s3: S3Client, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = s3.put_object

    def put(**request: object) -> object:
        if "IfNoneMatch" in request:
            raise ClientError({"Error": {"Code": "NotImplemented"}}, "PutObject")
        return real(**request)  # type: ignore[arg-type]

    monkeypatch.setattr(s3, "put_object", put)
    place = S3Publisher(s3, BUCKET, tmp_path.name)
    with publishing_alone(place, "www", tmp_path / "note"):
        with pytest.raises(RepoError, match="another publisher is writing"):
            _hold(place, tmp_path / "other")
        assert place.claims()
    assert not place.claims()


@pytest.mark.parametrize(
    "data", [b"", b"\xff", b"[", b"[" * 100_000, b"1", b'{"owner": 1}', b"9" * 5000]
)
def test_a_lock_that_cannot_be_read_is_one_all_the_same(data: bytes) -> None:
    assert describe_claim(data) == "somebody (the lock cannot be read)"


def test_what_another_wrote_does_not_control_the_terminal() -> None:
    data = json.dumps({"owner": "\x1b[2Jx" + "y" * 999, "since": "\n"}).encode()
    text = describe_claim(data)
    assert text.isprintable()
    assert len(text) < 300
