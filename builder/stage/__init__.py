"""The tree of a package, from which both formats pack."""
