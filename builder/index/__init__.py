"""The Python index, queried through uv, and which wheel fits a target."""
