# The account of the services: its numbers come from BACKENDAI_ACCOUNT_UID and
# _GID, site.toml or the default, in this order. Before the payload is there, so
# nothing but sh, awk and getent.

# site_id KEY: prints [account].KEY of site.toml, if it is there.
site_id() {
    [ -r /etc/backend.ai/site.toml ] || return 0
    awk -v key="$1" '
        /^[ \t]*\[/ { inside = ($0 ~ /^[ \t]*\[( |\t)*account[ \t]*\]/); next }
        inside {
            line = $0
            sub(/[ \t\r]*(#.*)?$/, "", line)
            if (line ~ "^[ \t]*" key "[ \t]*=") {
                sub(/^[^=]*=[ \t]*/, "", line)
                print line
                exit
            }
        }' /etc/backend.ai/site.toml
}

# check_id KEY VALUE: true if VALUE can be a user's or group's number.
check_id() {
    case "$2" in
        '' | *[!0-9]* | 0* | ???????????*)
            echo "{{ package.name }}: error: account.$1 = $2: must be a number from 1 to 2147483647" >&2
            echo "{{ package.name }}: hint: correct [account] in /etc/backend.ai/site.toml, or BACKENDAI_ACCOUNT_*" >&2
            return 1
            ;;
    esac
}

# Sets account_uid and account_gid to what is wanted; false where it is no number.
read_account() {
    account_uid="${BACKENDAI_ACCOUNT_UID:-$(site_id uid)}"
    account_uid="${account_uid:-1100}"
    account_gid="${BACKENDAI_ACCOUNT_GID:-$(site_id gid)}"
    account_gid="${account_gid:-1100}"
    check_id uid "$account_uid" && check_id gid "$account_gid"
}

# refuse_taken KIND NUMBER DATABASE KEY: false where NUMBER belongs to another name.
refuse_taken() {
    holder="$(getent "$3" "$2" | cut -d: -f1)"
    if [ -n "$holder" ] && [ "$holder" != backendai ]; then
        echo "{{ package.name }}: error: $1 id $2, which the account 'backendai' is to have, belongs to '$holder'" >&2
        echo "{{ package.name }}: hint: set another $4 under [account] in /etc/backend.ai/site.toml (the same on all" >&2
        echo "{{ package.name }}: hint: nodes that share storage), or make the account 'backendai' yourself, and install again" >&2
        return 1
    fi
}

# Refuses before anything is unpacked, so that the package manager's state stays
# as it was. An account that exists is kept, whatever its numbers.
check_account() {
    read_account || return 1
    if ! getent group backendai >/dev/null; then
        refuse_taken group "$account_gid" group gid || return 1
    fi
    if ! getent passwd backendai >/dev/null; then
        refuse_taken user "$account_uid" passwd uid || return 1
    fi
}
