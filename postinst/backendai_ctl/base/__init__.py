"""The base of all other packages: errors, paths, files, programs, systemd."""
