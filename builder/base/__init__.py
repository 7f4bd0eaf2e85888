"""The base of every room: errors, messages, processes, the cache, the nouns."""
