"""`backendai-ctl status` and `doctor` as a person, a machine and a script see them."""

import json

import pytest
from backendai_ctl.base.layout import Layout

from tests.unit.postinst.backendai_ctl.status.tool import run


def test_status_of_a_host_without_systemd(
    layout: Layout, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(layout, "status", "--json") == 0
    answer = json.loads(capsys.readouterr().out)
    assert [service["service"] for service in answer["services"]] == ["manager"]
