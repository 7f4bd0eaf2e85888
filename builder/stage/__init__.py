"""The tree of a package that both formats pack from."""
