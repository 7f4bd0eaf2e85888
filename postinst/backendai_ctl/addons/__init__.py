"""Add-ons of a service: what is installed, what is enabled, what its hardware lacks."""
