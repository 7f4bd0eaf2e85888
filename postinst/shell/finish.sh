# Completes the upgrades that services have noted: databases are migrated, and all units that
# were running are restarted once, together. If units cannot be started now, backendai-seed
# does it at the next boot.
# shellcheck disable=SC2329

finish_upgrades() {
    may_start backendai.target || return 0
    outside /usr/bin/backendai-ctl upgrade --pending ||
        warn "not everything is upgraded; to see the rest: backendai-ctl status. Once fixed, run: backendai-ctl upgrade"
}
