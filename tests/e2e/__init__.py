"""A clean host becomes a cluster, and a person can use it: through repositories, as users do."""
