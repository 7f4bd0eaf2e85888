"""What the host tests decide without a host."""
