"""The clean hosts themselves: that they boot, report truly, and are removed."""

from pathlib import Path

import docker
import docker.errors
import pytest

from builder.verify.hosts import Host, HostError, HostSetup
from tests.integration.images import Images, Suite

pytestmark = pytest.mark.docker


@pytest.mark.parametrize("suite", list(Suite))
def test_host_reports_status_output_and_time(
    suite: Suite, engine: docker.DockerClient, images: Images, tmp_path: Path
) -> None:
    (tmp_path / "shown").write_text("from this machine")
    setup = HostSetup(image=images.base(suite), name=f"self-{suite}", mounts={tmp_path: "/shown"})
    with Host(engine, setup) as host:
        assert host.failed_units() == []
        assert host.run(["ps", "-p", "1", "-o", "comm="]).stdout.strip() == "systemd"
        assert host.read("/etc/os-release").count(f"VERSION_CODENAME={suite}\n") == 1
        result = host.run("echo out; echo err >&2; exit 3", check=False)
        assert (result.stdout, result.stderr, result.status) == ("out\n", "err\n", 3)
        with pytest.raises(HostError, match=r"exited with 3(.|\n)*err"):
            host.run("echo err >&2; exit 3")
        with pytest.raises(HostError, match="took longer than 1 s"):
            host.run(["sleep", "60"], timeout=1)
        assert "sleep 60" not in host.run(["ps", "ax", "-o", "args="]).stdout
        host.write("/srv/secret", "text", mode=0o600, owner=7)
        assert host.run(["stat", "-c", "%a %u %s", "/srv/secret"]).stdout == "600 7 4\n"
        assert host.read("/shown/shown") == "from this machine"
        assert host.run(["touch", "/shown/new"], check=False).status != 0
        host.copy_out("/srv", tmp_path)
        assert (tmp_path / "srv" / "secret").read_text() == "text"


def test_failure_leaves_evidence_and_no_container(
    engine: docker.DockerClient,
    images: Images,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("BUILDER_EVIDENCE", str(tmp_path))
    monkeypatch.delenv("BUILDER_KEEP_HOSTS", raising=False)
    host = Host(engine, HostSetup(image=images.base(Suite.TRIXIE), name="fails"))

    def fail_on_it() -> None:
        with host:
            host.run("echo what happened before")
            host.run(["false"])

    with pytest.raises(HostError, match="false exited with 1"):
        fail_on_it()
    assert "what happened before" in (host.evidence / "commands.txt").read_text()
    assert "systemd" in (host.evidence / "journal.txt").read_text()
    assert (host.evidence / "dpkg.log").stat().st_size > 0
    with pytest.raises(docker.errors.NotFound):
        engine.containers.get(host.name)
