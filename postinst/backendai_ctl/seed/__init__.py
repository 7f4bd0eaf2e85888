"""Seeds the stores of an installation, once, and reports their state."""
