# The end of a transaction, once for all services.
# shellcheck disable=SC2329

# is_any PATH ...: whether one of them exists; a pattern without a match is no path.
is_any() {
    for path in "$@"; do
        if [ -e "$path" ]; then
            return 0
        fi
    done
    return 1
}

# has_pending: whether a service waits for the end of its upgrade.
has_pending() {
    is_any /var/lib/backendai/upgrade/*.pending
}

# Completes the upgrades that services have noted: databases are migrated, and all units that
# were running are restarted, once, together. If units cannot be started now, backendai-seed
# does it at the next boot.
finish_upgrades() {
    may_start backendai.target || return 0
    outside /usr/bin/backendai-ctl upgrade --pending ||
        warn "not everything is upgraded; to see the rest: backendai-ctl status. Once fixed, run: backendai-ctl upgrade"
}

# has_waiting: whether a service waits for its first start.
has_waiting() {
    is_any /var/lib/backendai/seed/waiting/*
}

# join_starts: waits for the starts that the seeding has begun.
join_starts() {
    for recipe in /usr/lib/backendai/recipes/*.toml; do
        unit="${recipe##*/}"
        unit="backendai-${unit%.toml}.service"
        if is_at_work "$unit"; then
            systemctl start "$unit" || warn "could not start $unit; see: systemctl status $unit"
        fi
    done
}

# Seeds the stores and starts the services that wait for that, once, together. If a store does
# not answer, the unit waits, not the package manager. One service may wait for another, an
# agent for its manager: hence the second round.
start_waiting() {
    for _ in 1 2; do
        if ! has_waiting || ! may_start backendai-seed.service; then
            return 0
        fi
        if ! outside /usr/bin/backendai-ctl seed stores; then # it says what is not there yet
            run_static backendai-seed.service --no-block
            return 0
        fi
        if is_at_work backendai-seed.service; then
            systemctl start backendai-seed.service 2>/dev/null || true # joins its job
        fi
        if has_waiting; then
            run_static backendai-seed.service
        fi
        join_starts
    done
}

# The last words: what starts by itself, where the Web UI is, what to do next.
show_summary() {
    if has_systemd && ! may_start backendai.target; then
        outside /usr/bin/backendai-ctl summary --not-started || warn "see: backendai-ctl status"
    else
        outside /usr/bin/backendai-ctl summary || warn "see: backendai-ctl status"
    fi
}
