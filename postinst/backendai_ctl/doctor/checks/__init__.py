"""The checks, one module for each subject: each takes a view of the host and yields findings."""
