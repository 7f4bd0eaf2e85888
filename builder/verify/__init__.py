"""Packages on clean hosts: containers with systemd, and what must hold on them."""
