"""The gateway's errors, in the words for a client or the journal."""

from collections.abc import Mapping
from typing import Any

Error = dict[str, Any]  # as in a GraphQL response


class GatewayError(Exception):
    """The gateway cannot start."""


class RequestError(Exception):
    """A request that is refused before any subgraph is asked."""

    def __init__(self, errors: list[Error]) -> None:
        super().__init__("; ".join(str(error["message"]) for error in errors))
        self.errors = errors

    @classmethod
    def of(cls, message: str, code: str = "BAD_USER_INPUT") -> "RequestError":
        """Return an error with one message."""
        return cls([make_error(message, code)])


def make_error(message: str, code: str, **extensions: object) -> Error:
    """Return an error in the form that clients get from other gateways."""
    return {"message": message, "extensions": {"code": code, **extensions}}


class SubgraphError(Exception):
    """The manager did not answer as a subgraph should."""

    def __init__(
        self, subgraph: str, message: str, response: Mapping[str, object] | None = None
    ) -> None:
        super().__init__(message)
        self.subgraph = subgraph
        self.response = response

    def as_error(self, path: list[str | int] | None = None) -> Error:
        """Return the error for a client; the Web UI reads ``response`` to log in again."""
        more = {"response": self.response} if self.response else {}
        error = make_error(str(self), "DOWNSTREAM_SERVICE_ERROR", serviceName=self.subgraph, **more)
        return error if path is None else {**error, "path": path}
