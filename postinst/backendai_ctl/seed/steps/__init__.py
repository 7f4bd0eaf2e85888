"""The steps of a plan, one module for each store."""
