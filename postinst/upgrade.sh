# Before the new files come: the installed tool, with the old release, says whether what
# is installed can become this version. One without the command has no say.
# shellcheck disable=SC2329

{% set installed = "/opt/backendai/" ~ package.service.name ~ "/bin/python3" %}
check_upgrade() {
    [ -x {{ installed | sh }} ] && [ -e /usr/lib/backendai/target ] || return 0
    status=0
    {{ installed | sh }} -I -B /usr/lib/backendai/target upgrade-check --brief \
        --to {{ version | sh }} --from-lines {{ release.upgrades_from | join(" ") | sh }} \
        {{ package.service.name | sh }} >&2 || status="$?"
    [ "$status" -ne 77 ] || exit 1 # refused; all else is the environment's
}
