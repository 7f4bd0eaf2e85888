"""Opens the databases of this host's services in a CPython that can talk to them."""

import contextlib
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

from backendai_target.errors import HostError
from backendai_target.layout import Layout
from backendai_target.recipe import Answers
from backendai_target.seed.data import seeded_services
from backendai_target.seed.paths import prefix
from backendai_target.seed.session import Filled, Session

# The longest path that another node's run of the tool takes, a dump among it.
LOCK_SECONDS = 900.0


def use_own_python(layout: Layout) -> None:
    """Go on in the CPython of a service that has a PostgreSQL client."""
    folders = [prefix(layout, service) for service in seeded_services(layout)]
    installed = [folder for folder in folders if (folder / "bin/python3").exists()]
    here = Path(sys.prefix).resolve()
    if not installed or any(here == folder.resolve() for folder in installed):
        return
    main = Path(sys.argv[0])
    # A folder that is run is argv[0] itself, or its __main__.py.
    tool = main.parent if main.name == "__main__.py" else main
    python = str(installed[-1] / "bin/python3")
    os.execv(python, [python, "-I", "-B", str(tool), *sys.argv[1:]])


@contextlib.contextmanager
def open_session(
    layout: Layout, answers: Answers, say: Callable[[str], None], services: list[str]
) -> Iterator[tuple[Session, list[Filled]]]:
    """This host's session and the databases of ``services``, or of all where none is named.

    Raises HostError where this is not root, whom alone every file here belongs to.
    """
    if os.geteuid() != 0 and layout.root == Path("/"):
        raise HostError("only root can work on the stores", hint="use sudo")
    session = Session.open(layout, answers, say)
    with session.filled() as filled:
        yield session, [one for one in filled if not services or one.data.service in services]
