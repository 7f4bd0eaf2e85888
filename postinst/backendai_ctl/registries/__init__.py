"""The image registries that site.toml names: their data, certificate authorities and answers."""
