"""The configuration tool that runs on the target, by the CPython of backendai-runtime.

It needs the standard library of Python 3.10 and tomlkit, which every service of
Backend.AI brings. It creates site.toml, the secrets and each service's configuration,
and reports whether a service can start and answers.
"""
