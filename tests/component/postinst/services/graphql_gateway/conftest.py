"""Makes the gateway importable, as the conftest of its unit tests does."""

import tests.unit.postinst.services.graphql_gateway.conftest  # noqa: F401
