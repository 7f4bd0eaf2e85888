"""Add-ons of a service: installed ones, enabled ones, and missing needs of their hardware."""
