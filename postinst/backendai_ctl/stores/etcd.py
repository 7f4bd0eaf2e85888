"""Reads keys of etcd, and creates absent ones, through its JSON gateway.

The services' own client would take seconds to import, and differs between releases.
"""

import base64
import functools
import json
import urllib.error
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass

from backendai_ctl.answers.kinds import Address
from backendai_ctl.base.errors import NotReadyError
from backendai_ctl.stores.remedies import Names, StoreKind, find_remedy

_SECONDS = 3.0
# The prefix below which Backend.AI keeps the keys of a namespace.
_ROOT = "/sorna"


@dataclass(frozen=True, kw_only=True)
class Etcd:
    """One member, and the user to log in as, if any."""

    address: Address
    namespace: str
    user: str = ""
    password: str = ""
    root: str = _ROOT

    def has(self, key: str) -> bool:
        """Whether ``key`` of the namespace is set; NotReadyError if etcd does not answer."""
        question = {"key": self._path(key), "count_only": True}
        answer = self._ask("kv/range", question, self._token())
        return int(str(answer.get("count", 0))) > 0

    def get(self, key: str) -> str | None:
        """Return the value of ``key`` of the namespace; None if it is not set."""
        answer = self._ask("kv/range", {"key": self._path(key)}, self._token())
        found = answer.get("kvs")
        if not isinstance(found, list) or not found:
            return None
        return _decoded(found[0].get("value", ""))

    def all(self) -> dict[str, str]:
        """Return every key of the namespace, without the namespace, and its value."""
        start, end = (f"{_ROOT}/{self.namespace}{last}" for last in ("/", "0"))  # 0 follows /
        question = {"key": encoded(start), "range_end": encoded(end)}
        found = self._ask("kv/range", question, self._token()).get("kvs", [])
        pairs = found if isinstance(found, list) else []
        return {
            _decoded(pair["key"]).removeprefix(start): _decoded(pair.get("value", ""))
            for pair in pairs
        }

    def create(self, pairs: Mapping[str, str]) -> bool:
        """Set these keys in one transaction if none of them is set; return whether it did."""
        absent = [
            {"key": self._path(key), "result": "EQUAL", "target": "CREATE", "create_revision": "0"}
            for key in pairs
        ]
        puts = [
            {"request_put": {"key": self._path(key), "value": encoded(value)}}
            for key, value in pairs.items()
        ]
        answer = self._ask("kv/txn", {"compare": absent, "success": puts}, self._token())
        return bool(answer.get("succeeded", False))

    def alarms(self) -> set[str]:
        """Return the alarms of all members, such as NOSPACE, under which etcd refuses writes."""
        found = self._ask("maintenance/alarm", {"action": "GET"}, self._token()).get("alarms")
        listed = found if isinstance(found, list) else []
        return {str(entry.get("alarm", "unknown")) for entry in listed}

    def members(self) -> list[str]:
        """Return where each member of the cluster is for clients, as HOST:PORT; its first URL."""
        found = self._ask("cluster/member/list", {}, self._token()).get("members")
        members = found if isinstance(found, list) else []
        urls = [member.get("clientURLs") or [""] for member in members]
        return [str(first).rpartition("//")[2] for first, *_ in urls if first]

    def try_write(self, key: str, seconds: int) -> None:
        """Set ``key`` under a lease of ``seconds``, then end the lease, which removes the key."""
        token = self._token()
        lease = str(self._ask("lease/grant", {"TTL": str(seconds)}, token).get("ID"))
        try:
            question = {"key": self._path(key), "value": encoded("1"), "lease": lease}
            self._ask("kv/put", question, token)
        finally:
            self._ask("lease/revoke", {"ID": lease}, token)

    def put(self, key: str, value: str) -> None:
        """Set ``key``, replacing any present value."""
        self._ask("kv/put", {"key": self._path(key), "value": encoded(value)}, self._token())

    def list(self, prefix: str) -> dict[str, str]:
        """Return the keys of the namespace that begin with ``prefix``, which ends with a slash."""
        # etcd's range for "all with this prefix": up to the character after the slash.
        question = {"key": self._path(prefix), "range_end": self._path(f"{prefix[:-1]}0")}
        found = self._ask("kv/range", question, self._token()).get("kvs")
        listed = found if isinstance(found, list) else []
        skip = len(f"{self.root}/{self.namespace}/")
        return {_decoded(pair["key"])[skip:]: _decoded(pair.get("value", "")) for pair in listed}

    def _path(self, key: str) -> str:
        return encoded(f"{self.root}/{self.namespace}/{key}")

    def _token(self) -> Mapping[str, str]:
        if not self.user:
            return {}
        login = {"name": self.user, "password": self.password}
        return {"Authorization": str(self._ask("auth/authenticate", login, {}).get("token"))}

    def _ask(
        self, method: str, question: Mapping[str, object], headers: Mapping[str, str]
    ) -> Mapping[str, object]:
        request = urllib.request.Request(
            f"http://{self.address}/v3/{method}", json.dumps(question).encode(), dict(headers)
        )
        try:
            with _opener().open(request, timeout=_SECONDS) as reply:
                answer = json.load(reply)
        except urllib.error.HTTPError as error:
            reason = _refusal(error)
            names = Names(address=str(self.address))
            raise NotReadyError(
                f"etcd on {self.address} refuses: {reason}",
                hint=find_remedy(StoreKind.ETCD, message=reason, names=names),
            ) from error
        except (OSError, ValueError) as error:
            raise NotReadyError(f"etcd on {self.address} does not answer: {error}") from error
        if not isinstance(answer, dict):
            raise NotReadyError(f"etcd on {self.address} answers with something else")
        return answer


@functools.cache
def _opener() -> urllib.request.OpenerDirector:
    """Return what opens plain HTTP, and nothing else.

    A proxy of the environment is for the Internet, not for the cluster. The opener that the
    library builds also reads all certificates of the host, for every request.
    """
    opener = urllib.request.OpenerDirector()
    opener.add_handler(urllib.request.HTTPHandler())
    opener.add_handler(urllib.request.HTTPErrorProcessor())
    opener.add_handler(urllib.request.HTTPDefaultErrorHandler())
    return opener


def _refusal(error: urllib.error.HTTPError) -> str:
    """Return etcd's reason for refusing a request, such as `user name is empty`."""
    try:
        said = json.load(error)
        return str(said.get("error") or said.get("message") or error)
    except (OSError, ValueError, AttributeError):
        return str(error)


def encoded(text: str) -> str:
    """Return ``text`` as the gateway has keys and values: in base64."""
    return base64.b64encode(text.encode()).decode()


def _decoded(text: object) -> str:
    return base64.b64decode(str(text)).decode(errors="replace")
