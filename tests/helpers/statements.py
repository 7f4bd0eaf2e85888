"""Statements of provenance."""

from pathlib import Path
from typing import Any

from builder.base.files import hash_file
from builder.inspect.content import content_digest


def statement_on(package: Path) -> dict[str, Any]:
    """The statement that a build makes on a package, with one input."""
    digest = {"sha256": hash_file(package), "contentSha256": content_digest(package)}
    return {
        "_type": "https://in-toto.io/Statement/v1",
        "subject": [{"name": package.name, "digest": digest}],
        "predicateType": "https://slsa.dev/provenance/v1",
        "predicate": {
            "buildDefinition": {
                "buildType": "urn:backendai:builder:package:v1",
                "externalParameters": {"package": "a", "profile": "fast"},
                "resolvedDependencies": [{"name": "w.whl", "digest": {"sha256": "ab" * 32}}],
            },
            "runDetails": {"builder": {"id": "urn:test"}},
        },
    }
