"""Makes what the hosts of all tests are made of: ``python -m tests.e2e.images``.

A test makes what it needs, too. On a machine that has nothing yet, this does it while none waits.
"""

from builder.verify.engine import connect
from tests.e2e import kernel
from tests.integration import images


def main() -> None:
    """Make the images of hosts, then the image of sessions."""
    images.main()
    kernel.archive(connect())


if __name__ == "__main__":
    main()
