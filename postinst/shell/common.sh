# What backendai-common does once its files are in place.

# Makes group and account where they are absent, with the numbers that are wanted:
# the shipped sysusers.d file says 1100, and site.toml may say otherwise.
make_account() {
    if getent passwd backendai >/dev/null; then
        found="$(getent passwd backendai | cut -d: -f3,4)"
        # What cannot be read here is compared by `backendai-ctl doctor`.
        if read_account 2>/dev/null && [ "$found" != "$account_uid:$account_gid" ]; then
            warn "the account 'backendai' exists with uid:gid $found and is kept; site.toml wants $account_uid:$account_gid"
        fi
        return 0
    fi
    read_account || return 1
    found="$(getent group backendai | cut -d: -f3)"
    systemd-sysusers --replace=/usr/lib/sysusers.d/backendai.conf - <<END
g backendai ${found:-$account_gid}
u backendai $account_uid:${found:-$account_gid} "Backend.AI services" /var/lib/backendai
END
}

make_folders() {
    systemd-tmpfiles --create backendai.conf || warn "could not make all folders in /etc, /var and /run"
}
