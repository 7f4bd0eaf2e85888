"""What a package of these tests says of its own build."""

BUILD_INFO = {
    "release": "26.9",
    "glibc": "2.28",
    "runtime": {
        "provider": "source",
        "version": "3.13.5",
        "origin": "Python-3.13.5.tar.xz",
        "sha256": "ab" * 32,
        "glibc": "2.28",
        "options": {"pgo": "no"},
    },
    "wheels": [{"name": "demo", "version": "1.0", "file": "demo-1.0.whl", "sha256": "cd" * 32}],
    "pruned": [{"rule": "type-stubs", "files": 3, "bytes": 4000}, "nonsense"],
}
