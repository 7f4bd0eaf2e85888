# Ends the upgrades that services have noted: databases are migrated, and all units that
# ran are restarted, once and together. Where none may be started now, backendai-seed does
# it at the next boot.
# shellcheck disable=SC2329

finish_upgrades() {
    may_start backendai.target || return 0
    outside /usr/bin/backendai-ctl upgrade --pending ||
        warn "not all is upgraded; to see what: backendai-ctl status. Once mended, run: backendai-ctl upgrade"
}
