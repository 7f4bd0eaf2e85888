"""Archives of the stores' content."""
