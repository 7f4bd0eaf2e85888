"""The Python index, asked through uv, and which wheel fits a target."""
