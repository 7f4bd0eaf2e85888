# Units by Debian's helpers, which remember an admin's `systemctl disable` and
# `mask`, and ask policy-rc.d before they start or stop anything.
# shellcheck disable=SC2329

{% include "postinst/shell/units.sh" %}

enable_unit() {
    deb-systemd-helper unmask "$1" >/dev/null || true # fails where it was never masked
    if deb-systemd-helper --quiet was-enabled "$1"; then
        deb-systemd-helper enable "$1" >/dev/null || warn "could not enable $1"
    else
        deb-systemd-helper update-state "$1" >/dev/null || true # disabled by the admin
    fi
}

# A unit that the admin enables: remembered, so that a purge removes the links.
track_unit() {
    deb-systemd-helper update-state "$1" >/dev/null || true # nothing to remember yet
}

# outside PROGRAM ...: dpkg runs scripts like any program.
outside() {
    "$@"
}

# may_start UNIT: whether systemd runs, and the host lets packages start units. 104 is
# policy-rc.d's other word for yes.
may_start() {
    has_systemd || return 1
    [ -x /usr/sbin/policy-rc.d ] || return 0
    /usr/sbin/policy-rc.d "$1" restart >/dev/null 2>&1 || [ "$?" -eq 104 ]
}

# invoke ACTION UNIT: a service that does not come up is not the package's failure.
invoke() {
    if has_systemd; then
        deb-systemd-invoke "$1" "$2" >/dev/null || warn "could not $1 $2; see: systemctl status $2"
    fi
}
