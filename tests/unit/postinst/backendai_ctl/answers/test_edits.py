"""Single answers of site.toml, and those that debconf had before there was a file."""

import re

import pytest
from backendai_ctl.answers.edits import get_answer, set_answer
from backendai_ctl.base.errors import SiteError
from backendai_ctl.base.files import Writer
from backendai_ctl.base.layout import Layout

from tests.unit.postinst.conftest import caller

SITE = """\
# of the admin
[etcd]   # ours
addresses = [ "10.0.0.1:2379",
              "10.0.0.2:2379" ] # two
namespace='site'
"""


def change(layout: Layout, name: str, value: str, **environment: str) -> bool:
    """Set one answer as whoever runs the tests."""
    return set_answer(layout, Writer(owner=caller()), name, value, environment)


def test_only_the_named_answer_changes(layout: Layout) -> None:
    layout.site.write_text(SITE)
    layout.site.chmod(0o600)
    assert change(layout, "etcd.addresses", "10.0.0.9:2379, 10.0.0.8:2379")
    assert layout.site.read_text() == SITE.replace(
        '[ "10.0.0.1:2379",\n              "10.0.0.2:2379" ]',
        '["10.0.0.9:2379", "10.0.0.8:2379"]',
    )
    assert layout.site.stat().st_mode & 0o777 == 0o600
    assert get_answer(layout, "etcd.addresses") == "10.0.0.9:2379,10.0.0.8:2379"


def test_a_section_is_added_where_it_is_missing(layout: Layout) -> None:
    layout.site.write_text(SITE)
    assert change(layout, "redis.address", "10.0.0.5:6379")
    assert layout.site.read_text().startswith(SITE)
    assert get_answer(layout, "redis.address") == "10.0.0.5:6379"


def test_the_same_answer_again_touches_nothing(layout: Layout) -> None:
    layout.site.write_text(SITE)
    assert not change(layout, "etcd.namespace", "site")
    assert layout.site.read_text() == SITE


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("etcd.address", "x", "site.toml has no answer called 'etcd.address'"),
        ("redis.address", "10.0.0.5", 'redis.address = "10.0.0.5": must be HOST:PORT'),
        ("redis.password", "a\nb", "redis.password = (not shown): must be one line"),
    ],
)
def test_a_wrong_change_is_refused(layout: Layout, name: str, value: str, message: str) -> None:
    layout.site.write_text(SITE)
    with pytest.raises(SiteError, match=re.escape(message)):
        change(layout, name, value)
    assert layout.site.read_text() == SITE


def test_a_broken_file_is_not_edited(layout: Layout) -> None:
    layout.site.write_text("[etcd]\nnonsense = 1\n")
    with pytest.raises(SiteError, match="has no key 'nonsense'"):
        change(layout, "etcd.namespace", "other")
    assert layout.site.read_text() == "[etcd]\nnonsense = 1\n"


def test_without_a_file_the_first_is_made_around_the_answer(layout: Layout) -> None:
    layout.preseed.write_text("BACKENDAI_ETCD_NAMESPACE='early'\n")
    assert change(layout, "redis.address", "10.0.0.5:6379", BACKENDAI_DATABASE_NAME="other")
    assert get_answer(layout, "etcd.namespace") == "early"
    assert get_answer(layout, "database.name") == "other"
    assert get_answer(layout, "redis.address") == "10.0.0.5:6379"
    assert "# Every member of the cluster" in layout.site.read_text()
