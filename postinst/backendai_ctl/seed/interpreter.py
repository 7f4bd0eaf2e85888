"""Restarts the tool in a service's environment, whose libraries it needs."""

import os
import sys
from pathlib import Path

from backendai_ctl.base.layout import Layout
from backendai_ctl.seed.data import load_seed_data, seeded_services


def reexec_in_service_python(layout: Layout, *, most_called: bool = False) -> None:
    """Restart in the environment of a service that has a PostgreSQL client.

    With ``most_called``, use only the service whose commands are called most: its release's
    commands then run in this process.
    """
    services = _by_fixtures(layout) if most_called else seeded_services(layout)[::-1]
    installed = [name for name in services if layout.python(name).exists()]
    here = Path(sys.prefix).resolve()
    fitting = installed[:1] if most_called else installed
    if not installed or any(here == layout.prefix(name).resolve() for name in fitting):
        return
    python = str(layout.python(installed[0]))
    os.execv(python, [python, "-I", "-B", *_own_words()])


def _by_fixtures(layout: Layout) -> list[str]:
    """Return the seeded services, most fixtures first: each fixture is a call."""
    return sorted(
        seeded_services(layout),
        key=lambda name: -len(load_seed_data(layout, name).profiles[-1].fixtures),
    )


def _own_words() -> list[str]:
    main = Path(sys.argv[0])
    # A folder or zip that is run is argv[0] itself, or its __main__.py.
    return [str(main.parent if main.name == "__main__.py" else main), *sys.argv[1:]]
