"""The checks, one module a subject: each takes a view of the host and yields findings."""
