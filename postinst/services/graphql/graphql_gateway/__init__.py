"""The GraphQL gateway: answers one schema that is made of the manager's several.

Runs by the manager's private CPython, which has graphql-core and aiohttp.
"""
