"""Upstream's own test suite, run against a packaged node.

``driver`` goes to the node and runs the specs; ``node`` prepares it; ``known`` holds what
is expected, from ``known/LINE.toml``; ``report`` compares and writes the table.
"""
