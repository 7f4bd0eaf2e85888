"""Registries of images that site.toml names: what they are, whom they trust, how they answer."""
