"""What comes over a network: HTTP, downloads, mirrors, archives."""
