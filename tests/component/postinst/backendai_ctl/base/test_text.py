"""Files of the target are read as the shell and systemd read them, byte by byte."""

from backendai_ctl.base.environment import read_environment
from backendai_ctl.base.layout import Layout
from backendai_ctl.base.text import encode

from builder.base.run import run


def test_an_environment_file_is_read_as_the_run_script_reads_it(layout: Layout) -> None:
    data = b"# no\nA=1\x0c2\nB=\xff x\nlower=3\n\xc3\x9cB=4\nC=a\xe2\x80\xa8D=b\r\nE="
    path = layout.etc / "manager.env"
    path.write_bytes(data)
    loop = (
        'while IFS= read -r line || [ -n "$line" ]; do case "$line" in '
        '[A-Z]*=*) printf \'%s\\n\' "$line" ;; esac; done <"$1"'
    )
    shell = run(["sh", "-c", loop, "sh", str(path)], env={"LC_ALL": "C"}).stdout
    found = read_environment(layout, "manager")
    lines = [f"{name}={value}" for name, value in found.items()]
    # What a program prints reaches Python without its carriage returns.
    plain = [encode(line).decode("utf-8", "replace").replace("\r", "") for line in lines]
    assert plain == shell.split("\n")[:-1]
    assert found["C"] == "a\u2028D=b\r"
    assert encode(found["B"]) == b"\xff x"
