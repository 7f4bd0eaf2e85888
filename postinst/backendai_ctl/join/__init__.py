"""How a node joins a cluster: an invite of the first node, what it brings, and who may have it."""
