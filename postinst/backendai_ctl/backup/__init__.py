"""Archives of what the stores hold."""
