"""What an invite brings: answers of site.toml, secrets, certificates of authorities."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from backendai_ctl.answers.kinds import Value
from backendai_ctl.base.errors import NotReadyError

_PLAIN = (str, int)
MAX_BYTES = 1 << 20


@dataclass(frozen=True, kw_only=True)
class Payload:
    """What the first node gives to one new node."""

    role: str
    cluster: str
    answers: Mapping[str, Value]
    # Answers that must not be the same here: the first node's own.
    taken: Mapping[str, Value] = field(default_factory=dict)
    secrets: Mapping[str, str] = field(default_factory=dict, repr=False)
    files: Mapping[str, str] = field(default_factory=dict)  # by their paths

    def as_table(self) -> dict[str, object]:
        """Return the payload as JSON has it."""
        return {
            "role": self.role,
            "cluster": self.cluster,
            "answers": dict(self.answers),
            "taken": dict(self.taken),
            "secrets": dict(self.secrets),
            "files": dict(self.files),
        }


def parse_payload(value: object) -> Payload:
    """Return the payload in JSON data; NotReadyError, without its values, if it is none."""
    try:
        return _payload(value)
    except (TypeError, KeyError, AttributeError, ValueError) as error:
        raise NotReadyError(
            "the first node sent something else than answers and secrets"
        ) from error


def _payload(value: object) -> Payload:
    if not isinstance(value, dict):
        raise TypeError
    secrets, files = _texts(value["secrets"]), _texts(value["files"])
    if any("/" in name or name.startswith(".") for name in secrets):
        raise TypeError
    if not all(Path(path).is_absolute() and ".." not in Path(path).parts for path in files):
        raise TypeError
    return Payload(
        role=str(value["role"]),
        cluster=str(value["cluster"]),
        answers=_answers(value["answers"]),
        taken=_answers(value["taken"]),
        secrets=secrets,
        files=files,
    )


def _answers(value: dict[str, object]) -> dict[str, Value]:
    found: dict[str, Value] = {}
    for name, answer in value.items():
        if isinstance(answer, list) and all(isinstance(item, str) for item in answer):
            found[name] = [str(item) for item in answer]
        elif isinstance(answer, _PLAIN):  # true and false are numbers, too
            found[name] = answer
        else:
            raise TypeError
    return found


def _texts(value: dict[str, object]) -> dict[str, str]:
    if not all(isinstance(text, str) for text in value.values()):
        raise TypeError
    found = {name: str(text) for name, text in value.items()}
    for text in found.values():
        text.encode("utf-8")  # JSON can have what no file can: ValueError
    return found
