"""``make bench``: seconds and memory of a build's phases, as ratios to a floor."""
