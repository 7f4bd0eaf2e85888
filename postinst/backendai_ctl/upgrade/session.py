"""Opens the databases of this host's services."""

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path

from backendai_ctl.answers.resolve import Answers
from backendai_ctl.base.account import require_root
from backendai_ctl.base.layout import Layout
from backendai_ctl.seed.session import SeededDatabase, Session

# The longest time that another node's run of the tool takes, a dump included.
LOCK_SECONDS = 900.0


@contextlib.contextmanager
def open_session(
    layout: Layout, answers: Answers, say: Callable[[str], None], services: list[str]
) -> Iterator[tuple[Session, list[SeededDatabase]]]:
    """Open this host's session and the databases of ``services``, or of all if none is named.

    Raises HostError if the user is not root, to whom every file here belongs.
    """
    if layout.root == Path("/"):
        require_root("work on the stores")
    session = Session.open(layout, answers, say)
    with session.open_databases() as databases:
        yield (
            session,
            [
                database
                for database in databases
                if not services or database.data.service in services
            ],
        )
