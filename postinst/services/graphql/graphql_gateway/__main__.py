"""The entry point of `python3 /usr/lib/backendai/graphql`; installed there as __main__.py."""

import sys

from graphql_gateway.cli import main

if __name__ == "__main__":
    sys.exit(main())
