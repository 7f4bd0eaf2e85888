"""The folders that answers name: made if they are the default, and given their first files."""

from collections.abc import Callable
from pathlib import Path

from backendai_ctl.answers.resolve import Answers
from backendai_ctl.base.account import Owner
from backendai_ctl.base.files import Writer
from backendai_ctl.base.layout import Layout
from backendai_ctl.base.mounts import NO_FOLDER, folder_problem
from backendai_ctl.base.temporary import is_temporary
from backendai_ctl.services.recipe import FolderRecipe
from backendai_ctl.services.volumes import unmounted_point

Say = Callable[[str], None]


def prepare_folder(
    layout: Layout, folder: FolderRecipe, answers: Answers, account: Owner, say: Say
) -> None:
    """Create the folder if it is absent and the default; write the initial files to an empty one.

    Any other path is a mount point of the admin's: a folder created here would take the place
    of the volume whenever that is not mounted, and nothing is written below an empty mount point.
    """
    name, shown = answers.actual(folder.site), str(answers.value(folder.site))
    path = layout.place(shown)
    question = answers.site.questions.named(folder.site)
    point = unmounted_point(layout, shown)
    if point:
        say(f"warning: {shown} ({name}) is not mounted: mount {point}")
        return
    problem = folder_problem(path)
    if problem == NO_FOLDER:
        if question is None or name != folder.site or shown != question.default:
            say(
                f"warning: {shown} ({name}) is missing: "
                "mount it, or make it and give it to backendai"
            )
            return
        Writer(owner=account).ensure_folder(path)
        say(f"made {shown}")
    elif problem:
        say(f"warning: {shown} ({name}) {problem}")
        return
    _give_files(path, folder, account, f"{shown} ({name})", say)


def _give_files(path: Path, folder: FolderRecipe, account: Owner, label: str, say: Say) -> None:
    status = path.stat()
    if (status.st_uid, status.st_gid) != (account.uid, account.gid):
        say(
            f"warning: {label} belongs to {status.st_uid}:{status.st_gid}, "
            f"the services run as {account.uid}:{account.gid}"
        )
    elif all(is_temporary(found.name) for found in path.iterdir()):
        for file, text in folder.files.items():
            Writer(owner=account).create(path / file, text)
