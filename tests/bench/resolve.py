"""Resolves the default release as ``builder lock`` does, and keeps nothing."""

from builder.base.cache import open_cache
from builder.base.paths import PKGSPEC, cache_root
from builder.lock.resolve import make_locks
from builder.runtime.pins import load_pins
from builder.spec import load_spec


def main() -> None:
    """Resolve once."""
    spec, pins = load_spec(PKGSPEC), load_pins()
    versions = sorted({pin.version for pin in (*pins.standalone, *pins.source)})
    make_locks(spec, spec.release(None), versions, open_cache(cache_root()), upgrade=False)


if __name__ == "__main__":
    main()
