"""Files and folders that others read: their modes do not depend on the caller's umask."""

from pathlib import Path

PUBLIC_FOLDER = 0o755
PUBLIC_FILE = 0o644


def make_public_folder(path: Path) -> Path:
    """Make the folder and its missing parents, for everybody to enter; returns it.

    A folder that is there already keeps its mode: an admin may have closed it.
    """
    missing = []
    folder = path
    while not folder.is_dir():
        missing.append(folder)
        folder = folder.parent
    for folder in reversed(missing):
        folder.mkdir(exist_ok=True)
        folder.chmod(PUBLIC_FOLDER)
    return path
