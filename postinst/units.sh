# Units, by whichever package manager: units-deb.sh or units-rpm.sh says what may_start is.
# shellcheck disable=SC2329

# True while it has a process: also one that still starts has old files open.
is_running() {
    has_systemd && [ "$(systemctl show --property=MainPID --value "$1")" -gt 0 ]
}

# let_finish UNIT: waits for a oneshot unit that is at work. A restart would kill it, and it
# would count as failed.
let_finish() {
    if [ "$(systemctl show --property=ActiveState --value "$1")" = activating ]; then
        systemctl start "$1" || true # joins its job; what is to be told is told by the next one
    fi
}

# run_static UNIT [OPTION]: a unit that nothing enables, and that Debian's helper would
# therefore not start.
run_static() {
    may_start "$1" || return 0
    [ -n "${2:-}" ] || let_finish "$1"
    # What it says itself is for whoever asks: most of all, that a service waits for another.
    systemctl restart ${2:+"$2"} "$1" 2>/dev/null ||
        say "not all is ready yet, and it is tried again by itself; to see what: backendai-ctl status"
}
