"""Finds faults that an active unit hides, names the remedy, and applies the safe ones."""
