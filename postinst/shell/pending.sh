# What is to be done at the end of the transaction, once for all services.
# shellcheck disable=SC2329

# note_pending SERVICE UNIT ...: notes that the service is to be upgraded, and which of its
# units run until then. An interrupted run may have left a note already.
note_pending() {
    service="$1"
    note="/var/lib/backendai/upgrade/$service.pending"
    shift
    mkdir -p "${note%/*}" || warn "could not make ${note%/*}"
    if {
        cat "$note" 2>/dev/null || true # there is none yet
        for unit in "$@"; do
            if is_running "$unit"; then
                echo "$unit"
            fi
        done
    } | sort -u >"$note.new" && mv "$note.new" "$note"; then
        return 0
    fi
    warn "not restarted. Once fixed, run: backendai-ctl upgrade, and restart $service"
}
