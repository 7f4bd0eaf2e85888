"""Network access: HTTP, downloads, mirrors, archives."""
