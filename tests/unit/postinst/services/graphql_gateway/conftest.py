"""Makes the gateway importable, as it lies in postinst/."""

import sys

from builder.base.paths import PROJECT

sys.path.insert(0, str(PROJECT / "postinst/services/graphql"))
