# The account of the services: its numbers come from BACKENDAI_ACCOUNT_UID and
# _GID, site.toml or the default, in this order. Before the payload is there, so
# nothing but sh, awk and getent.

# site_id KEY: prints [account].KEY of site.toml, if it is there. False, with a message, where
# the file may say it in a way that only a whole parser of TOML sees: a dotted or quoted key,
# an inline table. Strings and arrays of several lines are followed, so that no line in them
# is taken for a key.
site_id() {
    [ -e /etc/backend.ai/site.toml ] || return 0
    awk -v key="$1" '
        BEGIN { place = "root" }
        {
            sub(/\r$/, "")
            goes_on = (quote != "" || depth > 0)
        }
        !goes_on && /^[ \t]*(#.*)?$/ { next }
        !goes_on {
            name = $0
            sub(/^[ \t]*/, "", name)
            is_header = (substr(name, 1, 1) == "[")
            sub(/^\[*[ \t]*/, "", name)
            first = match(name, /^[A-Za-z0-9_-]+/) ? substr(name, 1, RLENGTH) : ""
            rest = substr(name, RLENGTH + 1)
        }
        !goes_on && is_header {
            header = $0
            sub(/#.*$/, "", header)
            gsub(/[ \t]/, "", header)
            place = (first == "account") ? "account" : "other"
            refused = (first == "" || (place == "account" && (header != "[account]" || seen++)))
            if (refused) exit
            next
        }
        !goes_on && place == "root" && (first == "" || first == "account") { refused = 1 }
        !goes_on && place == "account" && (first == "" || rest !~ /^[ \t]*=/) { refused = 1 }
        !goes_on && place == "account" && first == key {
            if (found++) refused = 1
            value = rest
            sub(/^[ \t]*=[ \t]*/, "", value)
            sub(/[ \t]*(#.*)?$/, "", value)
        }
        {
            for (at = 1; at <= length($0) && !refused; at++) {
                letter = substr($0, at, 1)
                if (quote != "") {
                    if (letter == "\\" && quote ~ /"/) at++
                    else if (substr($0, at, length(quote)) == quote) {
                        at += length(quote) - 1
                        quote = ""
                    }
                } else if (letter == "#") break
                else if (letter == "\"" || letter == "\047") {
                    quote = letter
                    if (substr($0, at, 3) == (letter letter letter)) quote = substr($0, at, 3)
                    at += length(quote) - 1
                } else if (index("[{", letter)) depth++
                else if (index("]}", letter)) depth--
            }
            if (refused || length(quote) == 1 || depth < 0) {
                refused = 1
                exit
            }
        }
        END {
            if (refused) {
                print NR
                exit 3
            }
            print value
        }' /etc/backend.ai/site.toml
}

# site_number KEY: sets $number, to nothing where site.toml does not say.
site_number() {
    number="$(site_id "$1")" && return 0
    echo "{{ package.name }}: error: /etc/backend.ai/site.toml, line ${number:-1}: cannot find account.$1 here" >&2
    echo "{{ package.name }}: hint: write [account] on a line of its own, and $1 = NUMBER on another below it," >&2
    echo "{{ package.name }}: hint: without quotes, dotted keys or inline tables" >&2
    return 1
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

# Sets account_uid and account_gid to what is wanted; false where that is no number, or cannot
# be seen.
read_account() {
    account_uid="${BACKENDAI_ACCOUNT_UID:-}"
    account_gid="${BACKENDAI_ACCOUNT_GID:-}"
    if [ -z "$account_uid" ]; then
        site_number uid || return 1
        account_uid="${number:-1100}"
    fi
    if [ -z "$account_gid" ]; then
        site_number gid || return 1
        account_gid="${number:-1100}"
    fi
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
    if getent passwd backendai >/dev/null && getent group backendai >/dev/null; then
        return 0
    fi
    read_account || return 1
    if ! getent group backendai >/dev/null; then
        refuse_taken group "$account_gid" group gid || return 1
    fi
    if ! getent passwd backendai >/dev/null; then
        refuse_taken user "$account_uid" passwd uid || return 1
    fi
}
