# The end of a transaction, once for all services.
# shellcheck disable=SC2329

# has_pending: whether a service waits for the end of its upgrade.
has_pending() {
    for note in /var/lib/backendai/upgrade/*.pending; do
        if [ -e "$note" ]; then
            return 0
        fi
    done
    return 1
}

# Completes the upgrades that services have noted: databases are migrated, and all units that
# were running are restarted, once, together. If units cannot be started now, backendai-seed
# does it at the next boot.
finish_upgrades() {
    may_start backendai.target || return 0
    outside /usr/bin/backendai-ctl upgrade --pending ||
        warn "not everything is upgraded; to see the rest: backendai-ctl status. Once fixed, run: backendai-ctl upgrade"
}

# The last words: what starts by itself, where the Web UI is, what to do next.
show_summary() {
    if has_systemd && ! may_start backendai.target; then
        outside /usr/bin/backendai-ctl summary --not-started || warn "see: backendai-ctl status"
    else
        outside /usr/bin/backendai-ctl summary || warn "see: backendai-ctl status"
    fi
}
