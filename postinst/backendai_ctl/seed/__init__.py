"""Seeds the stores that an installation needs, once, and reports their state."""
