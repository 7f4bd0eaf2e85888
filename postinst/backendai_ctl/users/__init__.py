"""Accounts of people, through the manager's API: from any node, and as the Web UI makes them."""
