"""Fills the stores that an installation needs, once, and tells what is there."""
