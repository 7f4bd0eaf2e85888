"""The wheels of a lock: fetched, built if the index has none, installed, compiled."""
