"""Add-ons on the target: what is enabled, what of the admin's stays, what a kill leaves."""

import json
import signal
import sys
import tomllib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest
from backendai_ctl.addons.driver import missing_needs
from backendai_ctl.addons.model import Need, load_addons
from backendai_ctl.addons.record import load_records
from backendai_ctl.addons.sync import (
    Tool,
    disable_addon,
    enable_addon,
    state_of,
    sync_addons,
)
from backendai_ctl.base.errors import SiteError, TargetError
from backendai_ctl.base.files import Writer
from backendai_ctl.base.layout import Layout
from backendai_ctl.cli import main
from backendai_ctl.services.record import Record

from builder.base.paths import PROJECT
from builder.base.run import run
from builder.spec import PackageSpec
from tests.unit.postinst.conftest import caller, install_recipe
from tests.unit.postinst.rendered import render, spec

ALLOW = "allow-compute-plugins"
MODULE = "ai.backend.accelerator."
AGENT = """\
# The admin's own line.
[agent]
mode   = "docker"     # odd   spaces
# allow-compute-plugins = []
# block-compute-plugins = []
mount-path = './vfroot'


[container]
note = \"\"\"
# allow-compute-plugins = [] is only text here
\"\"\"
"""


def addons() -> list[PackageSpec]:
    return [package for package in spec().packages.values() if package.addon]


def put(layout: Layout, *names: str) -> None:
    """Put the files of these add-ons' packages where they would lie."""
    (layout.addons / "files").mkdir(parents=True, exist_ok=True)
    for package in addons():
        assert package.addon
        if package.addon.name in names:
            for entry in package.payload:
                assert entry.source
                target = layout.root / entry.target.lstrip("/")
                target.write_text(render(entry.source, package))


def take(layout: Layout, name: str) -> None:
    (layout.addons / f"{name}.toml").unlink()


@pytest.fixture
def agent(layout: Layout) -> Path:
    """The agent's configuration, with the admin's formatting."""
    path = layout.etc / "agent.toml"
    path.write_text(AGENT)
    path.chmod(0o600)
    return path


@pytest.fixture
def said() -> list[str]:
    return []


@pytest.fixture
def tool(layout: Layout, said: list[str]) -> Tool:
    writer = Writer(owner=caller())
    return Tool(layout=layout, writer=writer, say=said.append, can_load=lambda _: False)


def allowed(agent: Path) -> list[str] | None:
    found: list[str] | None = tomllib.loads(agent.read_text())["agent"].get(ALLOW)
    return found


def test_installing_enables_and_changes_no_other_byte(
    layout: Layout, agent: Path, tool: Tool, said: list[str]
) -> None:
    put(layout, "rocm")
    assert sync_addons("agent", tool)
    line = f'{ALLOW} = ["{MODULE}rocm"]\n'
    assert agent.read_text() == AGENT.replace("[]\n# block", f"[]\n{line}# block", 1)
    assert agent.stat().st_mode & 0o777 == 0o600
    assert said[0] == "enabled the add-on rocm in agent.toml"
    assert any("shows no device without AMD's driver" in line for line in said[1:])
    said.clear()
    assert not sync_addons("agent", tool)
    assert said == []


def test_removing_disables_and_leaves_an_empty_list(
    layout: Layout, agent: Path, tool: Tool
) -> None:
    put(layout, "rocm", "tpu")
    sync_addons("agent", tool)
    assert allowed(agent) == [f"{MODULE}rocm", f"{MODULE}tpu"]
    take(layout, "rocm")
    assert sync_addons("agent", tool)
    assert allowed(agent) == [f"{MODULE}tpu"]
    take(layout, "tpu")
    assert sync_addons("agent", tool)
    # Without the key, the agent would load whatever it finds.
    assert allowed(agent) == []
    assert load_records(layout, "agent") == {}


@pytest.mark.parametrize(
    "written",
    [
        f'{ALLOW} = ["my.own"] # mine\n',
        f"{ALLOW} = [\n    'my.own',  # mine\n]\n",
        f'{ALLOW}=[ "my.own" ]\r\n',
    ],
)
def test_an_admins_list_keeps_its_formatting(
    layout: Layout, agent: Path, tool: Tool, written: str
) -> None:
    text = AGENT.replace("# allow-compute-plugins = []\n", written, 1)
    agent.write_bytes(text.encode())
    put(layout, "rocm")
    sync_addons("agent", tool)
    assert allowed(agent) == ["my.own", f"{MODULE}rocm"]
    now = agent.read_bytes().decode()
    before, after = text.split(written)
    assert now.startswith(before)
    assert now.endswith(after)
    assert ("# mine" in now) == ("# mine" in written)
    take(layout, "rocm")
    sync_addons("agent", tool)
    assert allowed(agent) == ["my.own"]


def test_a_file_without_the_samples_comment_gets_the_list_below_its_table(
    layout: Layout, agent: Path, tool: Tool
) -> None:
    agent.write_text("[container]\nport = 1\n\n[agent]\nmode = 'x'\n\n\n[other]\n")
    put(layout, "rocm")
    sync_addons("agent", tool)
    expected = f'[agent]\n{ALLOW} = ["{MODULE}rocm"]\nmode'
    assert expected in agent.read_text()


def test_what_was_disabled_stays_so_over_an_upgrade_of_the_addon(
    layout: Layout, agent: Path, tool: Tool
) -> None:
    put(layout, "rocm", "tpu")
    sync_addons("agent", tool)
    assert disable_addon("rocm", tool)
    assert not disable_addon("backendai-accelerator-rocm", tool)
    put(layout, "rocm", "tpu")
    sync_addons("agent", tool)
    assert allowed(agent) == [f"{MODULE}tpu"]
    rocm, tpu = load_addons(layout)
    assert (state_of(rocm, tool), state_of(tpu, tool)) == ("disabled", "enabled")
    assert enable_addon("rocm", tool)
    assert set(allowed(agent) or ()) == {f"{MODULE}tpu", f"{MODULE}rocm"}


def test_what_the_admin_took_out_by_hand_stays_out(layout: Layout, agent: Path, tool: Tool) -> None:
    put(layout, "rocm")
    sync_addons("agent", tool)
    agent.write_text(AGENT.replace("# allow-compute-plugins = []", f"{ALLOW} = []", 1))
    put(layout, "rocm", "tpu")
    sync_addons("agent", tool)
    assert allowed(agent) == [f"{MODULE}tpu"]
    assert enable_addon("rocm", tool)


def test_a_file_that_was_made_anew_has_all_that_is_enabled(
    layout: Layout, agent: Path, tool: Tool
) -> None:
    put(layout, "rocm", "tpu")
    sync_addons("agent", tool)
    disable_addon("tpu", tool)
    agent.write_text(AGENT)
    sync_addons("agent", tool)
    assert allowed(agent) == [f"{MODULE}rocm"]


def test_a_blocked_addon_is_not_allowed_as_well(layout: Layout, agent: Path, tool: Tool) -> None:
    """The agent refuses to start where a name is in both lists."""
    blocked = f'block-compute-plugins = ["{MODULE}rocm", "x"]'
    agent.write_text(AGENT.replace("# block-compute-plugins = []", blocked, 1))
    put(layout, "rocm")
    sync_addons("agent", tool)
    assert allowed(agent) == []
    (rocm,) = load_addons(layout)
    assert state_of(rocm, tool) == "blocked"
    assert enable_addon("rocm", tool)
    table = tomllib.loads(agent.read_text())["agent"]
    assert (table[ALLOW], table["block-compute-plugins"]) == ([f"{MODULE}rocm"], ["x"])


@pytest.mark.parametrize("first", ["mock", "cuda-open"])
def test_of_two_with_one_kind_of_device_the_complete_one_is_enabled(
    layout: Layout, agent: Path, tool: Tool, said: list[str], first: str
) -> None:
    put(layout, first)
    sync_addons("agent", tool)
    put(layout, "mock", "cuda-open")
    sync_addons("agent", tool)
    assert allowed(agent) == [f"{MODULE}mock"]
    assert any("cuda-open is installed and not enabled: mock shows" in line for line in said)
    with pytest.raises(SiteError, match="only one can be enabled") as caught:
        enable_addon("cuda-open", tool)
    assert "addon disable mock" in str(caught.value.hint)
    disable_addon("mock", tool)
    assert allowed(agent) == [f"{MODULE}cuda_open"]


def test_a_driver_that_is_there_first_stays(layout: Layout, agent: Path, tool: Tool) -> None:
    for name in ("dev", "usr/bin"):
        (layout.root / name).mkdir(parents=True)
    put(layout, "cuda-open")
    path = layout.addons / "cuda-open.toml"
    path.write_text(path.read_text().partition("[[needs]]")[0])
    sync_addons("agent", tool)
    put(layout, "mock")
    sync_addons("agent", tool)
    assert allowed(agent) == [f"{MODULE}cuda_open"]
    take(layout, "cuda-open")
    sync_addons("agent", tool)
    assert allowed(agent) == [f"{MODULE}mock"]


def test_the_admins_file_says_which_kind_the_mock_has(
    layout: Layout, agent: Path, tool: Tool
) -> None:
    (layout.etc / "mock-accelerator.toml").write_text('slot_name = "other"\n')
    put(layout, "mock", "cuda-open")
    sync_addons("agent", tool)
    assert set(allowed(agent) or ()) == {f"{MODULE}mock", f"{MODULE}cuda_open"}
    assert (layout.etc / "mock-accelerator.toml").read_text() == 'slot_name = "other"\n'
    assert (layout.generated / "mock-accelerator.toml").read_text().startswith("found ")


def test_an_addons_file_is_made_once(layout: Layout, agent: Path, tool: Tool) -> None:
    put(layout, "mock")
    sync_addons("agent", tool)
    made = layout.etc / "mock-accelerator.toml"
    assert tomllib.loads(made.read_text())["slot_name"] == "cuda"
    assert (layout.generated / made.name).read_text().startswith("made ")
    made.unlink()
    sync_addons("agent", tool)
    assert not made.exists()


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (None, "does not exist, so no add-on is enabled"),
        ("[agent", "agent.toml: is not TOML"),
        (f"[agent]\n{ALLOW} = 'all'\n", "must be a list of texts"),
    ],
)
def test_a_file_that_cannot_be_read_is_reported_and_left(
    layout: Layout, agent: Path, tool: Tool, text: str | None, problem: str
) -> None:
    put(layout, "rocm")
    if text is None:
        agent.unlink()
    else:
        agent.write_text(text)
    with pytest.raises(SiteError, match=problem):
        sync_addons("agent", tool)
    assert (agent.read_text() if agent.exists() else None) == text
    assert load_records(layout, "agent") == {}
    agent.write_text(AGENT)
    assert sync_addons("agent", tool)
    assert allowed(agent) == [f"{MODULE}rocm"]


def test_a_wider_entry_is_reported(layout: Layout, agent: Path, tool: Tool) -> None:
    wide = f'{ALLOW} = ["ai.backend"]'
    agent.write_text(AGENT.replace("# allow-compute-plugins = []", wide, 1))
    put(layout, "rocm")
    sync_addons("agent", tool)
    with pytest.raises(SiteError, match=r"\['ai.backend'\] allows rocm"):
        disable_addon("rocm", tool)


def test_an_unknown_addon_names_the_known(layout: Layout, agent: Path, tool: Tool) -> None:
    put(layout, "rocm")
    with pytest.raises(TargetError, match="no add-on 'cuda'") as caught:
        disable_addon("cuda", tool)
    assert caught.value.hint == "installed: rocm"


def test_needs_are_seen_by_any_of_their_signs(layout: Layout) -> None:
    put(layout, "rocm")
    (rocm,) = load_addons(layout)
    need = Need(install="it", paths=("/dev/x[0-9]",), programs=("x-tool",), libraries=("libx.so",))
    addon = replace(rocm, needs=(need,))
    root = layout.root
    assert missing_needs(addon, root, lambda _: False) == ["it"]
    (root / "dev").mkdir()
    (root / "dev/x1").touch()
    assert missing_needs(addon, root, lambda _: False) == []
    (root / "dev/x1").unlink()
    (root / "usr/bin").mkdir(parents=True)
    (root / "usr/bin/x-tool").touch(mode=0o755)
    assert missing_needs(addon, root, lambda _: False) == []
    (root / "usr/bin/x-tool").unlink()
    assert missing_needs(addon, Path("/"), lambda name: name == "libx.so") == []


def test_list_for_machines(
    layout: Layout, agent: Path, tool: Tool, capsys: pytest.CaptureFixture[str]
) -> None:
    put(layout, "rocm", "mock")
    sync_addons("agent", tool)
    assert main(["--root", str(layout.root), "--as-caller", "addon", "list", "--json"]) == 0
    mock, rocm = json.loads(capsys.readouterr().out)
    assert (mock["name"], mock["enabled"], mock["driver"]) == ("mock", True, "not needed")
    assert (rocm["package"], rocm["driver"]) == ("backendai-accelerator-rocm", "missing")
    assert rocm["missing"]
    assert main(["--root", str(layout.root), "addon", "list"]) == 0
    assert "lacks AMD's driver" in capsys.readouterr().out


@pytest.fixture
def command(layout: Layout) -> Callable[..., list[str]]:
    """The tool as a process of its own."""
    code = (
        "import sys; sys.path.insert(0, sys.argv.pop(1)); "
        "from backendai_ctl.cli import main; sys.exit(main(sys.argv[1:]))"
    )
    base = [sys.executable, "-I", "-B", "-c", code, str(PROJECT / "postinst")]
    return lambda *words: [*base, "--root", str(layout.root), "--as-caller", "addon", *words]


def test_a_killed_run_leaves_a_whole_file_and_the_next_one_finishes(
    layout: Layout, agent: Path, tool: Tool, command: Callable[..., list[str]]
) -> None:
    """SIGKILL at every step of the writing, in both directions."""
    put(layout, "rocm", "tpu")
    whole = {None, (), (f"{MODULE}rocm",), (f"{MODULE}tpu",), (f"{MODULE}rocm", f"{MODULE}tpu")}
    killed = 0
    for step in range(14):
        words = ("disable", "rocm") if step % 2 else ("sync", "agent")
        killed += kill_at(command(*words), step // 2 + 1)
        found = allowed(agent)
        assert (None if found is None else tuple(found)) in whole
        assert agent.read_text().startswith("# The admin's own line.\n[agent]\nmode   =")
        assert agent.read_text().endswith('only text here\n"""\n')
    assert killed >= 8
    assert run(command("disable", "rocm")).status == 0
    assert run(command("sync", "agent")).status == 0
    assert allowed(agent) == [f"{MODULE}tpu"]
    assert run(command("enable", "rocm")).status == 0
    assert sorted(allowed(agent) or ()) == [f"{MODULE}rocm", f"{MODULE}tpu"]
    sync_addons("agent", tool)
    assert not list(layout.etc.glob(".*"))


def kill_at(command: list[str], call: int) -> bool:
    """Run the tool and let it kill itself at its ``call``-th change; says if it did."""
    trap = (
        "import os, pathlib, signal\n"
        "left = [int(os.environ['KILL_AT'])]\n"
        "def trap(real):\n"
        "    def run(*given, **named):\n"
        "        left[0] -= 1\n"
        "        if left[0] == 0:\n"
        "            os.kill(os.getpid(), signal.SIGKILL)\n"
        "        return real(*given, **named)\n"
        "    return run\n"
        "pathlib.Path.rename = trap(pathlib.Path.rename)\n"
        "pathlib.Path.unlink = trap(pathlib.Path.unlink)\n"
        "for name in ('link', 'fchown', 'fchmod', 'fsync'):\n"
        "    setattr(os, name, trap(getattr(os, name)))\n"
    )
    changed = [*command[:4], trap + command[4].replace("; ", "\n"), *command[5:]]
    done = run(changed, env={"KILL_AT": str(call)}, check=False)
    assert done.status in (0, -signal.SIGKILL), done.stderr
    return done.status != 0


def test_two_at_once_do_not_lose_each_others_work(
    layout: Layout, agent: Path, command: Callable[..., list[str]]
) -> None:
    put(layout, "rocm", "tpu", "furiosa")
    run(command("sync", "agent"))
    with ThreadPoolExecutor(max_workers=2) as pool:
        for done in pool.map(run, [command("disable", "rocm"), command("disable", "tpu")]):
            assert done.status == 0
    assert allowed(agent) == [f"{MODULE}furiosa"]


def test_enabling_an_addon_is_no_edit_of_the_admins(
    layout: Layout, configured: Callable[..., list[str]], tool: Tool
) -> None:
    """`status` says "made" of a file that packages alone have changed, and "edited" of another."""
    layout.samples("agent").mkdir(parents=True)
    (layout.samples("agent") / "agent.toml").write_text(AGENT)
    install_recipe(layout, "agent")
    configured("agent")
    put(layout, "mock")
    assert sync_addons("agent", tool)
    path, note = layout.etc / "agent.toml", layout.generated / "agent.toml"
    record = Record.load(note)
    assert record is not None
    assert record.left
    assert record.is_unedited(path)
    assert not record.is_of(path)  # what the tool would make anew has no add-on
    configured("agent")  # as at an upgrade: what is offered is no news
    assert not path.with_name("agent.toml.new").exists()
    assert Record.load(note) == record
    path.write_text(path.read_text() + "# edited\n")
    take(layout, "mock")
    assert sync_addons("agent", tool)
    again = Record.load(note)
    assert again is not None
    assert not again.is_unedited(path)
