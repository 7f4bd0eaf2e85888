"""The GraphQL gateway: serves the manager's several schemas as one.

Runs on the CPython of backendai-runtime, which has graphql-core and aiohttp.
"""
