# Units, by whichever package manager: units-deb.sh or units-rpm.sh says what may_start is.
# shellcheck disable=SC2329

# True while it has a process: also one that still starts has old files open.
is_running() {
    has_systemd && [ "$(systemctl show --property=MainPID --value "$1")" -gt 0 ]
}

# forget_failure UNIT: systemd goes on listing a failed unit after its file is gone.
forget_failure() {
    if has_systemd; then
        systemctl reset-failed "$1" 2>/dev/null || true # it has not failed
    fi
}

# stop_borrowing: units of another package that run this one's programs would find them gone,
# or of two releases. The next seeding starts them again.
stop_borrowing() {
    {% for unit in (package.service.borrowing_units if package.service else ()) %}
    if has_systemd; then
        systemctl stop {{ unit | sh }} 2>/dev/null || true # not loaded
        forget_failure {{ unit | sh }}
    fi
    {% else %}
    :
    {% endfor %}
}

# True while a oneshot unit is at work. A restart would kill it, and it would count as failed.
is_at_work() {
    [ "$(systemctl show --property=ActiveState --value "$1")" = activating ]
}

# run_static UNIT [OPTION]: a unit that nothing enables, and that Debian's helper would
# therefore not start. With --no-block, one that is at work has to find out by itself
# what came meanwhile.
run_static() {
    may_start "$1" || return 0
    if is_at_work "$1"; then
        [ -z "${2:-}" ] || return 0
        systemctl start "$1" 2>/dev/null || true # joins its job; the next command reports
    fi
    # It fails where a service waits for another, and is retried; the summary says so.
    systemctl restart ${2:+"$2"} "$1" 2>/dev/null || true
}
