"""A target as the unit tests have it; that conftest makes the configuration tool importable."""

from tests.unit.postinst.conftest import configured, layout, node, services, store

__all__ = ["configured", "layout", "node", "services", "store"]
