# What a service's package does on the host. The configuration tool's failures
# are the environment's (a wrong answer, a full disk): each is reported, and the
# package manager continues.
# shellcheck disable=SC2329

tool() {
    {{ runtime | sh }}/bin/python3 -I -B /usr/lib/backendai/target "$@"
}

# The same for commands that query a store: rpm may run scriptlets without a network.
tool_with_network() {
    outside {{ runtime | sh }}/bin/python3 -I -B /usr/lib/backendai/target "$@"
}

# Makes the group that the service runs with, if it has one of its own.
make_group() {
    {% if package.service.group == package.name %}
    systemd-sysusers {{ (package.name ~ ".conf") | sh }} || warn "could not make the group {{ package.service.group }}"
    {% else %}
    :
    {% endif %}
}

make_folders() {
    systemd-tmpfiles --create {{ (package.name ~ ".conf") | sh }} || warn "could not make all folders in /var and /run"
}

first_boot_note={{ ("/var/lib/backendai/first-boot/" ~ package.service.name) | sh }}

# True where an image is built, and this is a first installation: what is made now would be the
# same on every host of the image. The first boot makes it.
waits_for_boot() {
    ! has_systemd && [ ! -e {{ ("/var/lib/backendai/generated/" ~ (package.service.config | first | default("site.toml"))) | sh }} ]
}

# Gets what an invite brings, where a variable names one; the configuration is made of it. Apart
# from that, because rpm may run scriptlets without a network.
fetch_invite() {
    if [ -n "${BACKENDAI_JOIN_FILE:-}" ]; then
        tool_with_network join --fetch --file "$BACKENDAI_JOIN_FILE"
    elif [ -n "${BACKENDAI_JOIN:-}" ]; then
        printf '%s\n' "$BACKENDAI_JOIN" | tool_with_network join --fetch
    fi
}

configure_service() {
    if waits_for_boot; then
        if ! mkdir -p "${first_boot_note%/*}" || ! touch "$first_boot_note"; then
            warn "could not note that {{ package.service.name }} is to be configured"
        fi
        say "secrets and configuration are made at the first boot, or by: backendai-ctl first-boot"
        return 0
    fi
    if ! fetch_invite; then
        warn "{{ package.service.name }} is not configured. Once fixed, run: backendai-ctl join"
        return 0
    fi
    if tool configure {{ package.service.name | sh }}; then
        return 0
    fi
    warn "not configured. Once fixed, run: backendai-ctl configure {{ package.service.name }}"
}

# Makes the service load exactly the installed add-ons.
sync_addons() {
    [ ! -e "$first_boot_note" ] || return 0
    tool addon sync {{ package.service.name | sh }} ||
        warn "add-ons are not enabled or disabled. Once fixed, run: backendai-ctl addon sync {{ package.service.name }}"
}

{% if package.service.holds_data %}
failed_note={{ ("/var/lib/backendai/upgrade/" ~ package.service.name ~ ".failed") | sh }}

# True where its needs are met, so that a first start can succeed.
can_start() {
    [ ! -e "$failed_note" ] && tool_with_network check-stores {{ package.service.name | sh }} >/dev/null 2>&1
}
{% else %}
# Notes that the service waits to be started: the run of backendai-seed that fills its stores
# starts it, and the end of the transaction waits for that, once for all services. What takes
# long and can be done before begins here.
await_start() {
    mkdir -p /var/lib/backendai/seed/waiting || warn "could not make /var/lib/backendai/seed"
    touch {{ ("/var/lib/backendai/seed/waiting/" ~ package.service.name) | sh }} ||
        warn "could not note that {{ package.service.name }} is to be started"
    {% if package.service.has_database %}
    run_static backendai-seed.service --no-block
    {% endif %}
}
{% endif %}

{% include "postinst/shell/pending.sh" %}

# Notes that the service is to be upgraded to this version at the end of the transaction.
# Seeding begins with these notes, so a note also covers a database that a removal left.
note_upgrade() {
    note_pending {{ package.service.name | sh }}{% for unit in package.service.units + package.service.manual_units %} {{ unit | sh }}{% endfor %}

}
