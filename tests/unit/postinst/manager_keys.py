"""Keys of a manager, an etcd that has them, and an agent's configuration without them."""

from backendai_ctl.answers.kinds import Address
from backendai_ctl.stores.etcd import Etcd

KEY = "XPoeq*FBV)-WrcuNV?S7Ay[mHN*6JGL1x@u+B(-Y"
OTHER = "19]9j]A7@tV..YQ-QVG[0@+s2:H?O@J?g%dR.Q+1"
SAMPLE = """\
[etcd]
namespace = "local"
addr = { host = "127.0.0.1", port = 2379 }

[agent]
mode = "docker"  # kept

[container]
scratch-type = "hostdir"

[logging]
"""


class Kept(Etcd):
    """An etcd that keeps its keys here."""

    def __init__(self, kept: dict[str, str]) -> None:
        super().__init__(address=Address(host="127.0.0.1", port=1), namespace="local")
        object.__setattr__(self, "kept", kept)

    def get(self, key: str) -> str | None:
        kept: dict[str, str] = self.kept  # type: ignore[attr-defined]
        return kept.get(key)

    def put(self, key: str, value: str) -> None:
        self.kept[key] = value  # type: ignore[attr-defined]

    def list(self, prefix: str) -> dict[str, str]:
        kept: dict[str, str] = self.kept  # type: ignore[attr-defined]
        return {key: value for key, value in kept.items() if key.startswith(prefix)}
