# Functions that every maintainer script and scriptlet shares. POSIX sh, included
# by the templates in debian/ and rpm/. Not every script calls every function.
# shellcheck disable=SC2329

say() {
    echo "{{ package.name }}: $*"
}

warn() {
    echo "{{ package.name }}: warning: $*" >&2
}

# True where systemd is PID 1; in a chroot or an image build it is not.
has_systemd() {
    [ -d /run/systemd/system ]
}

# systemd keeps its own copy of every unit. It may refuse while it shuts down,
# and it reads all of them again when it starts.
reload_systemd() {
    if has_systemd; then
        systemctl --system daemon-reload || warn "systemd did not reload its units"
    fi
}
