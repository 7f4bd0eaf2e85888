"""Single answers of site.toml, and those that debconf had before there was a file."""

import re
from pathlib import Path

from backendai_ctl.answers.edits import read_preseed
from backendai_ctl.answers.questions import load_questions
from backendai_ctl.base.layout import Layout

from builder.base.paths import PROJECT
from builder.base.run import run


def debconf(tmp_path: Path, answers: dict[str, str], call: str) -> str:
    """Run the shell text that takes debconf's answers, with a stand-in for debconf."""
    cases = "".join(
        f"backendai-common/{name}) RET={value!r} ;;\n" for name, value in answers.items()
    )
    script = tmp_path / "script"
    text = (PROJECT / "postinst/shell/questions-deb.sh").read_text()
    text += (PROJECT / "postinst/shell/debconf.sh").read_text()
    script.write_text(
        f'set -eu\nwarn() {{ echo "warning: $*"; }}\ndb_stop() {{ :; }}\n'
        f"db_get() {{ RET=''; case $1 in {cases} esac; }}\n"
        f"{text}\nearly_answers={tmp_path}/early-answers\n{call}\n"
    )
    return run(["sh", script], env={"PATH": f"{tmp_path}:/usr/bin:/bin"}).stdout


def test_answers_wait_for_the_first_service(layout: Layout, tmp_path: Path) -> None:
    given = {"etcd-addresses": "10.0.0.1:2379,10.0.0.2:2379", "admin-email": "it's@example.org"}
    debconf(layout.state, given, "keep_answers")
    assert read_preseed(layout) == {
        "BACKENDAI_ETCD_ADDRESSES": "10.0.0.1:2379,10.0.0.2:2379",
        "BACKENDAI_ADMIN_EMAIL": "it's@example.org",
    }
    assert layout.preseed.stat().st_mode & 0o777 == 0o600


def test_reconfiguring_changes_what_differs(tmp_path: Path) -> None:
    tool = tmp_path / "backendai-ctl"
    tool.write_text(
        '#!/bin/sh\ncase "$2 $3" in "get etcd.addresses") echo a:1 ;;'
        ' "get redis.address") echo b:2 ;;'
        f' set*) echo "$*" >>{tmp_path}/calls ;; *) exit 78 ;; esac\n'
    )
    tool.chmod(0o755)
    given = {"etcd-addresses": "a:1", "redis-address": "c:3", "database-address": "d:4"}
    debconf(tmp_path, given, "change_answers")
    assert (tmp_path / "calls").read_text() == "site set redis.address c:3\n"


def test_each_question_of_debconf_is_one_of_site_toml(layout: Layout) -> None:
    templates = (PROJECT / "debian/common.templates").read_text()
    named = re.findall(r"^Template: backendai-common/(\S+)$", templates, re.MULTILINE)
    script = (PROJECT / "postinst/shell/questions-deb.sh").read_text()
    asked = re.search(r"^questions='(.*)'$", script, re.MULTILINE)
    assert asked is not None
    assert named == asked[1].split()
    calls = "".join(f"answer_name {name}; answer_variable {name}\n" for name in named)
    printed = run(["sh", "-c", f"{script}\n{calls}"]).stdout.split()
    questions = {question.name: question.variable for question in load_questions(layout).all}
    assert dict(zip(printed[::2], printed[1::2], strict=True)).items() <= questions.items()
