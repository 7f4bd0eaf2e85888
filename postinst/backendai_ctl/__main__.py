"""The entry point of `python3 /usr/lib/backendai/target`; installed there as __main__.py."""

import sys

from backendai_ctl.cli import main

if __name__ == "__main__":
    sys.exit(main())
