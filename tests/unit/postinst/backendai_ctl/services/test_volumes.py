"""Several volumes of site.toml: in storage-proxy.toml, in units, and never below a mount point."""

from pathlib import Path

import pytest
from backendai_ctl import cli
from backendai_ctl.answers.resolve import Answers
from backendai_ctl.answers.secretstore import SecretStore
from backendai_ctl.answers.site import load_site
from backendai_ctl.base.errors import NotReadyError, SiteError
from backendai_ctl.base.layout import Layout
from backendai_ctl.services.recipe import load_recipe
from backendai_ctl.services.shown_files import show_named_files
from backendai_ctl.services.volumes import check_mounts, recorded_mounts, volumes_of

from tests.unit.postinst.configs import Configured, made
from tests.unit.postinst.conftest import install_recipe
from tests.unit.postinst.samples import AGENT

TWO = """\
[storage]
path = "/mnt/nfs/volume1"

[storage.fast]
path = "/mnt/fast"
backend = "xfs"
options = { quota = true, endpoint = "https://a,b" }
"""
UNIT = "backendai-storage-proxy.service"


@pytest.fixture
def services(services: Layout) -> Layout:
    """That target with the agent, too."""
    services.samples("agent").mkdir(parents=True)
    (services.samples("agent") / "agent.toml").write_text(AGENT)
    install_recipe(services, "agent")
    return services


def mounted(layout: Layout, *points: str) -> None:
    """Let the kernel list these mounts, and make their folders."""
    path = layout.root / "proc/self/mountinfo"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(
        "".join(f"1 0 0:1 / {point} rw,relatime - nfs4 source rw\n" for point in ("/", *points))
    )


def folders(layout: Layout, *paths: str) -> list[Path]:
    """Make the folders of volumes."""
    found = [layout.root / path.lstrip("/") for path in paths]
    for path in found:
        path.mkdir(parents=True, exist_ok=True)
    return found


def drop_in(layout: Layout, unit: str = UNIT) -> str:
    """The settings that the unit got for its volumes."""
    return (layout.unit_settings(unit) / "50-volumes.conf").read_text()


def test_each_volume_comes_into_the_configuration(services: Layout, configured: Configured) -> None:
    services.site.write_text(TWO)
    places = folders(services, "/mnt/nfs/volume1", "/mnt/fast")
    configured("storage-proxy")
    assert made(services, "storage-proxy.toml")["volume"] == {
        "volume1": {"backend": "vfs", "path": "/mnt/nfs/volume1"},
        "fast": {
            "backend": "xfs",
            "path": "/mnt/fast",
            "options": {"quota": True, "endpoint": "https://a,b"},
        },
    }
    assert [(place / "version.txt").read_text() for place in places] == ["3\n", "3\n"]


def test_a_volume_that_is_added_later_comes_into_a_file_that_nobody_edited(
    services: Layout, configured: Configured
) -> None:
    configured("storage-proxy")
    with services.site.open("a") as site:
        site.write('\n[storage.fast]\npath = "/mnt/fast"\n')
    said = configured("storage-proxy")
    assert set(made(services, "storage-proxy.toml")["volume"]) == {"volume1", "fast"}
    assert said[-1].startswith("warning: /mnt/fast (storage.fast.path) is missing")
    path = services.etc / "storage-proxy.toml"
    path.write_text(path.read_text() + "# mine\n")
    with services.site.open("a") as site:
        site.write('\n[storage.slow]\npath = "/mnt/slow"\n')
    configured("storage-proxy")
    assert set(made(services, "storage-proxy.toml")["volume"]) == {"volume1", "fast"}
    assert "slow" in path.with_name("storage-proxy.toml.new").read_text()


def test_each_volume_is_granted(services: Layout, store: SecretStore) -> None:
    services.site.write_text(TWO)
    answers = Answers(site=load_site(services), secrets=store)
    template = "{storage-proxy.name}:{storage.label}"
    names = [each.fill(template) for each in answers.each(template)]
    assert names == ["local:volume1", "local:fast"]


def test_other_services_do_not_see_any_volume(services: Layout, configured: Configured) -> None:
    services.site.write_text(TWO)
    folders(services, "/mnt/nfs/volume1", "/mnt/fast")
    configured("webserver")
    unit = services.shipped_unit("backendai-webserver.service")
    unit.parent.mkdir(parents=True)
    unit.write_text("TemporaryFileSystem=/etc/backend.ai\n")
    assert show_named_files(services, load_recipe(services, "webserver"))
    text = (services.unit_settings(unit.name) / "50-files.conf").read_text()
    assert "InaccessiblePaths=-/mnt/fast\nInaccessiblePaths=-/mnt/nfs/volume1\n" in text


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('[storage.fast]\npath = "mnt/fast"\n', 'storage.fast.path = "mnt/fast": must be an abs'),
        ("[storage.fast]\n", 'storage.fast.path = "": must be an absolute path'),
        (
            '[storage.fast]\npath = "/srv/backendai/volume1"\n',
            "storage.fast.path = /srv/backendai/volume1: is the path of storage.path",
        ),
        (
            '[storage.fast]\npath = "/srv/backendai/volume1/fast"\n',
            "storage.fast.path = /srv/backendai/volume1/fast: lies in storage.path",
        ),
        (
            '[storage.a]\npath = "/mnt/a/b"\n[storage.b]\npath = "/mnt/a"\n',
            "storage.b.path = /mnt/a: contains storage.a.path, /mnt/a/b",
        ),
        (
            '[storage.fast]\npath = "/mnt/fast"\nbackend = "zfs"\n',
            'storage.fast.backend = "zfs": must be one of vfs, xfs, cephfs',
        ),
        ('[storage.volume1]\npath = "/mnt/a"\n', "[storage.volume1]: volume1 is [storage] itself"),
        (
            '[storage]\npath = "/mnt/a/b"\nmount = "/mnt/b"\n',
            "storage.mount = /mnt/b: must be /mnt/a/b or a folder above it",
        ),
        ('[storage]\noptions = ["secret"]\n', "storage.options = (not shown): must be a table"),
    ],
)
@pytest.mark.parametrize("service", ["storage-proxy", "agent"])
def test_bad_volumes_are_refused_before_anything_is_written(
    services: Layout, configured: Configured, service: str, text: str, message: str
) -> None:
    services.site.write_text(text)
    with pytest.raises(SiteError) as refused:
        configured(service)
    assert message in str(refused.value)
    assert len(refused.value.problems) == 1
    assert [path.name for path in services.etc.iterdir()] == ["site.toml"]
    assert not services.mounts.exists()


def test_a_mount_is_remembered_when_it_is_gone(services: Layout, configured: Configured) -> None:
    services.site.write_text(TWO)
    folders(services, "/mnt/nfs/volume1", "/mnt/fast")
    mounted(services, "/mnt/nfs")
    said = configured("storage-proxy")
    assert f"{UNIT}: does not start without the mount /mnt/nfs" in said
    assert recorded_mounts(services) == {"/mnt/nfs/volume1": "/mnt/nfs"}
    command = ["--root", str(services.root), "check-mounts", "storage-proxy"]
    assert cli.main(command) == 0
    mounted(services)
    configured("storage-proxy")
    with pytest.raises(NotReadyError, match="/mnt/nfs is not mounted, so /mnt/nfs/volume1 is not"):
        check_mounts(services, "storage-proxy", recorded_mounts(services))
    assert cli.main(command) == 69
    services.mounts.unlink()  # the unit hides it from the command
    arguments = drop_in(services).split("check-mounts storage-proxy ")[1].split()
    assert cli.main([*command, *arguments]) == 69
    assert drop_in(services) == (
        "# Made by `backendai-ctl configure`: the volumes of site.toml that the service needs.\n"
        "[Unit]\nRequiresMountsFor=/mnt/nfs/volume1\nRequiresMountsFor=/mnt/fast\n\n"
        "[Service]\nExecStartPre=+/usr/bin/backendai-ctl check-mounts storage-proxy "
        "/mnt/nfs/volume1 /mnt/nfs\n"
    )


def test_nothing_is_written_below_a_mount_point(services: Layout, configured: Configured) -> None:
    """The folder there is empty and the account's, as a volume is before its first use."""
    (services.root / "etc/fstab").write_text("server:/v /mnt/nfs nfs4 defaults 0 0\n")
    services.site.write_text('[storage]\npath = "/mnt/nfs"\n')
    (place,) = folders(services, "/mnt/nfs")
    mounted(services)
    said = configured("storage-proxy")
    assert said[-1] == "warning: /mnt/nfs (storage.path) is not mounted: mount /mnt/nfs"
    assert not list(place.iterdir())
    mounted(services, "/mnt/nfs")
    configured("storage-proxy")
    assert (place / "version.txt").read_text() == "3\n"


def test_an_answer_decides_what_has_to_be_mounted(services: Layout, configured: Configured) -> None:
    folders(services, "/mnt/nfs/volume1")
    mounted(services, "/mnt/nfs")
    services.site.write_text('[storage]\npath = "/mnt/nfs/volume1"\nmount = "none"\n')
    configured("agent")
    assert recorded_mounts(services) == {}
    assert "ExecStartPre" not in drop_in(services, "backendai-agent.service")
    services.site.write_text('[storage]\npath = "/mnt/nfs/volume1"\nmount = "/mnt/nfs/volume1"\n')
    configured("agent")
    assert recorded_mounts(services) == {"/mnt/nfs/volume1": "/mnt/nfs/volume1"}
    assert "check-mounts agent" in drop_in(services, "backendai-agent.service")


def test_an_admins_own_settings_of_a_unit_stay(services: Layout, configured: Configured) -> None:
    path = services.unit_settings(UNIT) / "50-volumes.conf"
    path.parent.mkdir(parents=True)
    path.write_text("# mine\n")
    configured("storage-proxy")
    assert path.read_text() == "# mine\n"


def test_the_list_of_volumes(
    services: Layout, configured: Configured, capsys: pytest.CaptureFixture[str]
) -> None:
    services.site.write_text(TWO)
    folders(services, "/mnt/nfs/volume1")
    mounted(services, "/mnt/nfs")
    configured("storage-proxy")
    mounted(services)
    assert cli.main(["--root", str(services.root), "--as-caller", "volume", "list"]) == 69
    rows = [line.split(maxsplit=4) for line in capsys.readouterr().out.splitlines()]
    assert rows[1:] == [
        ["volume1", "/mnt/nfs/volume1", "vfs", "/mnt/nfs",
         "/mnt/nfs is not mounted, so /mnt/nfs/volume1 is not the volume"],
        ["fast", "/mnt/fast", "xfs", "-", "no such folder"],
    ]  # fmt: skip


def test_a_site_without_further_volumes_reads_as_before(services: Layout) -> None:
    services.site.write_text("")
    (volume,) = volumes_of(load_site(services))
    assert (volume.name, volume.path) == ("volume1", "/srv/backendai/volume1")
