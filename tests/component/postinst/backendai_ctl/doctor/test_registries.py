"""What the doctor says of registries that site.toml names."""

from pathlib import Path

from backendai_ctl.answers.site import load_site
from backendai_ctl.base.layout import Layout
from backendai_ctl.registries.advise import take_registries
from backendai_ctl.registries.trust import docker_authority

from tests.unit.postinst.backendai_ctl.doctor.registry_sites import lines_of, login, site
from tests.unit.postinst.backendai_ctl.registries.authorities import make_authority, sign_server
from tests.unit.postinst.backendai_ctl.registries.hub import serving


def test_a_docker_that_does_not_trust_is_found(layout: Layout, tmp_path: Path) -> None:
    socket = layout.root / "run/docker.sock"
    socket.parent.mkdir(parents=True)
    socket.touch()
    recipe = (layout.recipes / "manager.toml").read_text()
    (layout.recipes / "agent.toml").write_text(recipe.replace('"manager"', '"agent"'))
    folder = tmp_path / "made"
    folder.mkdir()
    authority = make_authority(folder)
    (layout.etc / "ca.pem").write_text(authority.read_text())
    with serving("basic", sign_server(folder, authority)) as place:
        site(layout, f'url = "https://{place}"', 'ca = "/etc/backend.ai/ca.pem"', *login())
        (line,) = lines_of(layout)
        assert f"Docker does not check {place} by registry.ca" in line
        take_registries(layout, load_site(layout), lambda _: None)
        assert lines_of(layout) == []
        # An admin's own file may hold more.
        path = docker_authority(layout, place)
        path.write_text("of the admin\n" + path.read_text())
        assert lines_of(layout) == []
