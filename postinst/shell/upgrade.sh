# Before the new files are unpacked, the installed tool (of the old release) checks whether
# the installation can be upgraded to this version. A tool without the command is skipped.
# Needs outside() of units-deb.sh or units-rpm.sh, because it queries the database.
# shellcheck disable=SC2329

check_upgrade() {
    [ -e /usr/lib/backendai/target ] || return 0
    # The old tool needs the libraries of its own release, which a service sees: the runtime
    # may have been replaced already, and before 26.9.6-2 there was none.
    {% if package.service %}
    for python in {{ ("/opt/backendai/" ~ package.service.name ~ "/bin/python3") | sh }} /opt/backendai/*/bin/python3; do
    {% else %}
    for python in /opt/backendai/*/bin/python3; do
    {% endif %}
        [ -x "$python" ] || continue
        status=0
        report="$(outside "$python" -I -B /usr/lib/backendai/target upgrade-check --brief \
            --to {{ version | sh }} --from-lines {{ release.upgrades_from | join(" ") | sh }}{{ " " ~ (package.service.name | sh) if package.service else " 2>&1" }})" || status="$?"
        {% if not package.service %}
        # Findings that refuse nothing are reported by each service's own package, as is a check
        # that fails: a service that is unpacked already may have data that the old tool rejects.
        case "$status" in
            0 | 77) report="$(printf '%s\n' "$report" | grep -e ' refused ' -e '^backendai: ')" || true ;;
            *) report="" ;;
        esac
        {% endif %}
        [ -z "$report" ] || printf '%s\n' "$report" >&2
        [ "$status" -ne 77 ] || exit 1 # refused; all else is the environment's
        return 0
    done
}
