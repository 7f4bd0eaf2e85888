"""Accounts of people, by the API of the manager: from any node, and as the Web UI makes them."""
