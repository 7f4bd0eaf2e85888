"""The steps of a plan, one module a store."""
