"""The services that are installed, and the creation of their configuration."""
