"""What every room uses: errors, messages, processes, the cache, the nouns."""
