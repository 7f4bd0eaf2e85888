"""What nodes share: keys of etcd that are never overwritten, secrets that must agree."""

import json

import pytest
from backendai_ctl.base.layout import Layout
from backendai_ctl.cli import main
from backendai_ctl.doctor.host_view import HostView
from backendai_ctl.seed.state import Report, save_report


def test_seed_status_needs_no_store(layout: Layout, capsys: pytest.CaptureFixture[str]) -> None:
    command = ["--root", str(layout.root), "--as-caller", "seed", "status"]
    assert main(command) == 69
    assert "seed apply" in capsys.readouterr().out
    assert main([*command, "--json"]) == 69
    assert json.loads(capsys.readouterr().out)["complete"] is False


def test_seed_status_is_not_fooled_by_the_run_before_an_upgrade(
    layout: Layout, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the former packages came to is no answer while the unit seeds what is new."""
    layout.seed_state.mkdir(parents=True)
    save_report(layout, Report(complete=True, results=[]))
    command = ["--root", str(layout.root), "--as-caller", "seed", "status"]
    assert main(command) == 0
    (layout.etc / "added.toml").write_text("[new]\n")
    assert main(command) == 0  # nothing is at work
    busy = {"ActiveState": "activating"}
    seen = HostView(layout, show_units=lambda names: dict.fromkeys(names, busy), is_root=True)
    monkeypatch.setattr("backendai_ctl.commands.seed.HostView", lambda _: seen)
    capsys.readouterr()
    assert main(command) == 69
    assert capsys.readouterr().out.startswith("being filled now; the last run:\nfilled at ")
    assert main([*command, "--json"]) == 69
    found = json.loads(capsys.readouterr().out)
    assert (found["complete"], found["running"]) == (True, True)
