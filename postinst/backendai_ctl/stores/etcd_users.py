"""Creates etcd's users and roles, and turns authentication on."""

from collections.abc import Mapping
from dataclasses import dataclass

from backendai_ctl.base.errors import NotReadyError
from backendai_ctl.stores.etcd import Etcd, encoded

ROOT = "root"  # etcd's own name for the user and the role with all rights
# The prefixes of Backend.AI's keys, and of the doctor's notes of nodes.
_PREFIXES = ("/sorna", "/backendai-packages")


@dataclass(frozen=True, kw_only=True)
class EtcdUsers(Etcd):
    """One member, accessed without a login while it is open, else as ``user``."""

    def is_open(self) -> bool:
        """Whether it answers without a login."""
        question = {"key": encoded(f"{self.root}/"), "count_only": True}
        try:
            self._ask("kv/range", question, {})
        except NotReadyError as error:
            if "user name is empty" in error.message:
                return False
            raise
        return True

    def lets_in(self, name: str, password: str) -> bool:
        """Whether ``password`` is that of the user; only if the member is not open."""
        try:
            self._ask("auth/authenticate", {"name": name, "password": password}, {})
        except NotReadyError as error:
            if "does not answer" in error.message:
                raise
            return False
        return True

    def prepare(self, name: str, password: str, root_password: str) -> None:
        """Create root and the services' user, who has all rights below the namespace.

        Authentication is not turned on yet. Existing users and roles are completed; root's password
        is not changed. If authentication is on already, call this as root.
        """
        headers = {} if self.is_open() else self._token()
        self._unless_there("auth/role/add", {"name": name}, headers)
        for prefix in _PREFIXES:
            start = f"{prefix}/{self.namespace}"
            permission = {
                "permType": "READWRITE",
                "key": encoded(f"{start}/"),
                "range_end": encoded(f"{start}0"),  # 0 follows /
            }
            self._ask("auth/role/grant", {"name": name, "perm": permission}, headers)
        self._unless_there("auth/user/add", {"name": name, "password": password}, headers)
        self._ask("auth/user/changepw", {"name": name, "password": password}, headers)
        self._ask("auth/user/grant", {"user": name, "role": name}, headers)
        self._unless_there("auth/user/add", {"name": ROOT, "password": root_password}, headers)
        self._unless_there("auth/role/add", {"name": ROOT}, headers)
        self._ask("auth/user/grant", {"user": ROOT, "role": ROOT}, headers)

    def put_open(self, key: str, value: str) -> None:
        """Set a key of the namespace while no login is needed."""
        self._ask("kv/put", {"key": self._path(key), "value": encoded(value)}, {})

    def close(self) -> None:
        """Turn authentication on: from now on every client needs a user."""
        self._ask("auth/enable", {}, {})

    def _unless_there(
        self, method: str, question: Mapping[str, object], headers: Mapping[str, str]
    ) -> None:
        try:
            self._ask(method, question, headers)
        except NotReadyError as error:
            if "already exists" not in error.message:
                raise
