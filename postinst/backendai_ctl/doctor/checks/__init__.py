"""The checks, one module a subject: each takes the scene and gives findings."""
