"""What `backendai-ctl status` shows."""
