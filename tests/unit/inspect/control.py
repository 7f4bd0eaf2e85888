"""Control files of these tests, and characters that split lines elsewhere."""

# Characters that str.splitlines() or str.strip() know and dpkg's parser does not.
SIGNS = ["\f", "\v", "\r", "\x1c", "\x1d", "\x1e", "\x85", "\u2028", "\u2029", "\u00a0", "\u3000"]
HEAD = "Package: tool\nVersion: 1.0\nArchitecture: all\nMaintainer: T <t@example.org>\n"
