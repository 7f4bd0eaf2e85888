# Before the new files come: the installed tool, with the old release, says whether what
# is installed can become this version. One without the command has no say. Needs
# outside() of units-deb.sh or units-rpm.sh, because it asks the database.
# shellcheck disable=SC2329

check_upgrade() {
    [ -e /usr/lib/backendai/target ] || return 0
    {% if package.service %}
    for python in {{ ("/opt/backendai/" ~ package.service.name ~ "/bin/python3") | sh }} /opt/backendai/*/bin/python3; do
    {% else %}
    for python in /opt/backendai/*/bin/python3; do
    {% endif %}
        [ -x "$python" ] || continue
        status=0
        told="$(outside "$python" -I -B /usr/lib/backendai/target upgrade-check --brief \
            --to {{ version | sh }} --from-lines {{ release.upgrades_from | join(" ") | sh }}{{ " " ~ (package.service.name | sh) if package.service else "" }})" || status="$?"
        {% if not package.service %}
        # Of what is only worth to know, each service's own package tells.
        told="$(printf '%s\n' "$told" | grep -F ' refused ')" || true # there is none
        {% endif %}
        [ -z "$told" ] || printf '%s\n' "$told" >&2
        [ "$status" -ne 77 ] || exit 1 # refused; all else is the environment's
        return 0
    done
}
