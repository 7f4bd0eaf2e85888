"""The configuration tool that runs on the target, with a service's private CPython.

It needs the standard library of Python 3.10 and tomlkit, which every service of
Backend.AI brings. It creates site.toml, the secrets and each service's configuration,
and reports whether a service can start and answers.
"""
