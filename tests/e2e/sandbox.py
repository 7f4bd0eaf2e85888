"""Commands run as a break-in at a service would: with its account, in its unit's sandbox."""

from builder.verify.hosts import Host

# Not of the sandbox: what the service runs, when, and what it waits for.
_OWN = "Exec|Restart|PartOf|Wants|After|Requires|WantedBy|Type|Condition|Timeout|Kill|Syslog"
_RUN = f"""
set -eu
unit=/run/systemd/system/trial-$0.service
printf %s "$1" >/usr/local/bin/trial-script
{{
    for file in /usr/lib/systemd/system/backendai-$0.service \
        /etc/systemd/system/backendai-$0.service.d/*.conf; do
        [ ! -e "$file" ] || grep -vE '^({_OWN})' "$file"
    done
    printf '[Service]\\nType=oneshot\\nStandardOutput=file:/run/trial.out\\n%s\\n' "$2"
    echo 'ExecStart=/bin/sh /usr/local/bin/trial-script'
}} >$unit
trap 'rm -f $unit /run/trial.out' EXIT
systemctl daemon-reload
systemctl start trial-$0.service
cat /run/trial.out
"""


def run_inside(host: Host, service: str, script: str, setting: str = "") -> list[str]:
    """Run a script of the shell in the sandbox of ``service``; the lines that it printed.

    ``setting`` is a line of [Service] that changes the sandbox.
    """
    return host.run(["sh", "-c", _RUN, service, script, setting]).stdout.splitlines()
