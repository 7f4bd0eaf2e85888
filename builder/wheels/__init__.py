"""The wheels of a lock: fetched, built where there is none, installed, compiled."""
