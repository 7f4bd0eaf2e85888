"""The GraphQL gateway: serves the manager's several schemas as one.

Runs in the manager's private CPython, which has graphql-core and aiohttp.
"""
