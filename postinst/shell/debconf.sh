# Takes debconf's answers to site.toml. Needs postinst/shell/questions-deb.sh.

early_answers=/var/lib/backendai/early-answers

# quoted TEXT: as one word of sh, and of what reads early-answers.
quoted() {
    printf "'%s'" "$(printf %s "$1" | sed "s/'/'\\\\''/g")"
}

# Before the first service is configured there is nothing that could make site.toml, so
# the answers wait in a file. Only what was given is there, so that variables and the
# release's own defaults hold for the rest.
keep_answers() {
    umask 077
    : >"$early_answers.tmp"
    for question in $questions; do
        db_get "backendai-common/$question" || continue
        [ -z "$RET" ] || printf '%s=%s\n' "$(answer_variable "$question")" "$(quoted "$RET")" >>"$early_answers.tmp"
    done
    mv "$early_answers.tmp" "$early_answers"
    umask 022
}

# dpkg-reconfigure: what differs is changed in the file, and nothing else of it.
change_answers() {
    for question in $questions; do
        db_get "backendai-common/$question" || continue
        [ -n "$RET" ] || continue
        now="$(answer_now "$question")" || continue
        [ "$now" = "$RET" ] && continue
        backendai-ctl site set "$(answer_name "$question")" "$RET" </dev/null >&2 ||
            warn "site.toml keeps $(answer_name "$question") = $now"
    done
}

# Without debconf, site.toml and the variables are how answers come.
take_answers() {
    command -v db_get >/dev/null || return 0
    if ! [ -e /etc/backend.ai/site.toml ]; then
        keep_answers
    elif [ -n "${DEBCONF_RECONFIGURE:-}" ]; then
        change_answers
    fi
    db_stop
}
