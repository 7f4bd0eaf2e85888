"""The state of this host, as `backendai-ctl status` shows it."""
