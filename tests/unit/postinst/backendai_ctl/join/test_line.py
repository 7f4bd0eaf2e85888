"""The line of an invite: what a person may do to it on its way."""

import base64
import hashlib
import json

import pytest
from backendai_ctl.answers.kinds import Address
from backendai_ctl.base.errors import TargetError
from backendai_ctl.join.line import FINGERPRINT_BYTES, TOKEN_BYTES, Invite, parse_invite

INVITE = Invite(
    address=Address(host="fd00::5", port=6090),
    role="agent",
    release="26.9.6",
    cluster="c0ffee000001",
    expires=1_800_000_000,
    fingerprint=bytes(range(FINGERPRINT_BYTES)),
    token=b"secret-of-an-inviteX"[:TOKEN_BYTES],
)
LINE = str(INVITE)


def test_a_line_is_read_as_it_was_made() -> None:
    assert parse_invite(LINE) == INVITE
    assert "\n" not in LINE
    assert " " not in LINE


def test_a_terminal_may_wrap_it() -> None:
    wrapped = f"  {LINE[:70]}\r\n{LINE[70:140]}\n {LINE[140:]}\n"
    assert parse_invite(wrapped) == INVITE


@pytest.mark.parametrize("length", range(1, len(LINE)))
def test_a_part_of_it_is_refused_at_any_length(length: int) -> None:
    with pytest.raises(TargetError, match=r"no invite|incomplete"):
        parse_invite(LINE[:length])


@pytest.mark.parametrize("place", range(16, len(LINE), 7))
def test_a_changed_letter_is_refused_and_not_shown(place: int) -> None:
    letter = "A" if LINE[place] != "A" else "B"
    with pytest.raises(TargetError) as caught:
        parse_invite(LINE[:place] + letter + LINE[place + 1 :])
    assert LINE[20:60] not in caught.value.message + str(caught.value.hint)


@pytest.mark.parametrize("text", ["", "hello", "backendai-join-x.AAAA", "A" * 100_000])
def test_something_else_is_no_invite(text: str) -> None:
    with pytest.raises(TargetError, match="this is no invite"):
        parse_invite(text)


def test_the_form_of_a_newer_release_asks_for_an_upgrade() -> None:
    with pytest.raises(TargetError, match="newer than this node's packages") as caught:
        parse_invite(LINE.replace("join-1", "join-2"))
    assert "upgrade" in str(caught.value.hint)


@pytest.mark.parametrize(
    "rest",
    [
        "{}",
        "[]",
        '["10.0.0.1","agent","","",1]',
        '["10.0.0.1:1","agent","","",null]',
        "[" * 900,
        '["10.0.0.1:1","agent","","",1e999]',
        '["10.0.0.1:1","agent","","",-1]',
        '["10.0.0.1:1","agent","","",99999999999999]',
    ],
)
def test_a_checked_line_of_nonsense_is_damaged(rest: str) -> None:
    body = bytes(FINGERPRINT_BYTES + TOKEN_BYTES) + rest.encode()
    body += hashlib.sha256(body).digest()[:4]
    with pytest.raises(TargetError, match="damaged"):
        parse_invite("backendai-join-1." + base64.urlsafe_b64encode(body).decode())


def test_neither_its_name_nor_its_text_as_a_value_has_the_token() -> None:
    token = INVITE.token.decode()
    assert token not in repr(INVITE)
    assert token not in INVITE.id
    assert json.dumps(INVITE.id)
