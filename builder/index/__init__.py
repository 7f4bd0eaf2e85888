"""The Python index, queried through uv, and the choice of a wheel for a target."""
