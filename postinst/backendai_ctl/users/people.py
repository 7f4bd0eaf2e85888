"""People's accounts in the manager: find, add, list, activate, deactivate."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from backendai_ctl.base.errors import TargetError
from backendai_ctl.users.api import KeyPair, ManagerApi

ACTIVE = "active"
INACTIVE = "inactive"
_PAGE = 100

_FIND_PROJECT = """
query($name: String!, $domain: String) {
  groups_by_name(name: $name, domain_name: $domain) { id name }
}"""
_LIST = """
query($limit: Int!, $offset: Int!, $filter: String) {
  user_list(limit: $limit, offset: $offset, filter: $filter) {
    items { email role status domain_name full_name } total_count
  }
}"""
_CREATE = """
mutation($email: String!, $props: UserInput!) {
  create_user(email: $email, props: $props) { ok msg }
}"""
_MODIFY = """
mutation($email: String!, $props: ModifyUserInput!) {
  modify_user(email: $email, props: $props) { ok msg }
}"""
_PAIRS = "query($email: String) { keypairs(email: $email) { access_key secret_key } }"
_MODIFY_PAIR = """
mutation($key: String!, $props: ModifyKeyPairInput!) {
  modify_keypair(access_key: $key, props: $props) { ok msg }
}"""


@dataclass(frozen=True, kw_only=True)
class Person:
    """One account."""

    email: str
    role: str
    status: str
    domain: str
    name: str

    @classmethod
    def from_table(cls, table: Mapping[str, Any]) -> "Person":
        """Return the account from the API's table."""
        return cls(
            email=str(table["email"]),
            role=str(table["role"]),
            status=str(table["status"]),
            domain=str(table["domain_name"]),
            name=str(table["full_name"] or ""),
        )


@dataclass(frozen=True, kw_only=True)
class NewPerson:
    """An account to create."""

    email: str
    password: str
    name: str = ""
    domain: str = "default"
    projects: Sequence[str] = ("default",)
    role: str = "user"


@dataclass(frozen=True, kw_only=True)
class People:
    """The accounts of the cluster behind ``api``."""

    api: ManagerApi

    def find(self, email: str) -> Person | None:
        """Return the account with this address."""
        found = self._page(0, 1, f"email == {json.dumps(email)}")[0]
        return found[0] if found else None

    def all(self) -> list[Person]:
        """Return every account, by address."""
        found: list[Person] = []
        while True:
            people, total = self._page(len(found), _PAGE, None)
            found += people
            if not people or len(found) >= total:
                return sorted(found, key=lambda person: person.email)

    def _page(self, offset: int, limit: int, text: str | None) -> tuple[list[Person], int]:
        data = self.api.query(_LIST, limit=limit, offset=offset, filter=text)["user_list"]
        return [Person.from_table(item) for item in data["items"]], int(data["total_count"])

    def project_ids(self, person: NewPerson) -> list[str]:
        """Return the ids of the person's projects; TargetError if the domain lacks one."""
        return [self._project_id(name, person.domain) for name in person.projects]

    def _project_id(self, name: str, domain: str) -> str:
        found = self.api.query(_FIND_PROJECT, name=name, domain=domain)["groups_by_name"]
        if not found:
            raise TargetError(f"no project '{name}' in the domain '{domain}'")
        return str(found[0]["id"])

    def add(self, person: NewPerson, project_ids: Sequence[str]) -> KeyPair:
        """Create an active account with an active key pair, in these projects.

        The manager creates its roles and key pair, as for an account created in the Web UI.
        """
        props = {
            "username": person.email,
            "password": person.password,
            "need_password_change": False,
            "full_name": person.name,
            "domain_name": person.domain,
            "role": person.role,
            "status": ACTIVE,
            "group_ids": list(project_ids),
        }
        _check(self.api.query(_CREATE, email=person.email, props=props)["create_user"])
        pairs = self._pairs(person.email)
        if not pairs:
            raise TargetError(f"the manager made no key pair for {person.email}")
        return pairs[0]

    def set_active(self, email: str, *, active: bool) -> None:
        """Activate or deactivate the account and all its key pairs."""
        props = {"status": ACTIVE if active else INACTIVE}
        _check(self.api.query(_MODIFY, email=email, props=props)["modify_user"])
        for pair in self._pairs(email):
            data = self.api.query(_MODIFY_PAIR, key=pair.access_key, props={"is_active": active})
            _check(data["modify_keypair"])

    def _pairs(self, email: str) -> list[KeyPair]:
        found = self.api.query(_PAIRS, email=email)["keypairs"]
        return [
            KeyPair(access_key=str(pair["access_key"]), secret_key=str(pair["secret_key"]))
            for pair in found
        ]


def _check(result: Mapping[str, Any]) -> None:
    """Raise the failure that some releases report beside ``errors``."""
    if not result.get("ok"):
        raise TargetError(f"the manager reports: {result.get('msg')}")
