"""Release lines over time: what the index has new, a bump, a new line, what has changed."""
