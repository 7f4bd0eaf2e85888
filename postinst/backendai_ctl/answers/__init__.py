"""What this site answers: the questions, site.toml, its edits, the secrets made for it."""
