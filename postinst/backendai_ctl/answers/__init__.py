"""The answers of this site: the questions, site.toml, its edits, and generated secrets."""
