"""The entry point of `python3 /usr/lib/backendai/target`; installed there as __main__.py."""

import sys

from backendai_ctl.base.libraries import load_library


def main() -> int:
    """Run one command; return its exit status."""
    try:
        # What all of the tool needs, found before the modules that import it.
        load_library("tomlkit")
    except ModuleNotFoundError:
        sys.stderr.write(
            "backendai-ctl: no service is installed on this host\n"
            "backendai-ctl: install one, for example backendai-manager\n"
        )
        return 1
    from backendai_ctl.cli import main as run  # noqa: PLC0415

    return run()


if __name__ == "__main__":
    sys.exit(main())
