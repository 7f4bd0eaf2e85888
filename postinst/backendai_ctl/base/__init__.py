"""What the rooms above stand on: errors, where things are, files, programs, systemd."""
