"""Logs and summaries of CI systems, known by their environment: GitHub Actions and GitLab."""

import os
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from builder.base import log
from builder.base.storage import replacing, storage_guard

_STEP_SUMMARY = "GITHUB_STEP_SUMMARY"
_GITLAB_LINE = "\033[0Ksection_{}:{}:{}\r\033[0K{}\n"  # docs.gitlab.com/ci/jobs/job_logs


@contextmanager
def log_group(title: str) -> Iterator[None]:
    """Fold what the block logs, in a CI system that can; elsewhere change nothing.

    The group is closed on errors, too, so that their message is seen.
    """
    begin, end = _marks(title)
    _write(begin)
    try:
        yield
    finally:
        _write(end)


def _marks(title: str) -> tuple[str, str]:
    text = re.sub(r"\s+", " ", title)
    if os.environ.get("GITHUB_ACTIONS") == "true":
        return f"::group::{text}\n", "::endgroup::\n"
    if os.environ.get("GITLAB_CI") == "true":
        name = re.sub("[^a-z0-9]+", "_", text.lower()).strip("_")
        now = int(time.time())
        begin = _GITLAB_LINE.format("start", now, f"{name}[collapsed=true]", text)
        return begin, _GITLAB_LINE.format("end", now, name, "")
    return "", ""


def _write(text: str) -> None:
    if text:
        log.console.file.write(text)
        log.console.file.flush()


def write_summary(text: str, chosen: Path | None) -> None:
    """Write Markdown to the file that was asked for, or add it to GitHub's summary of the job."""
    named = os.environ.get(_STEP_SUMMARY)
    if chosen is not None:
        with replacing(chosen) as part:
            part.write_text(text, encoding="utf-8")
    elif named:
        with storage_guard(Path(named)), Path(named).open("a", encoding="utf-8") as file:
            file.write(f"{text}\n")
