"""Package repositories for apt and dnf: a static tree that any web server can serve."""
