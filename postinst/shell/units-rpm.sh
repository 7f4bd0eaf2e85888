# Units on rpm systems: presets decide what is enabled at a first installation.
# shellcheck disable=SC2329

{% include "postinst/shell/units.sh" %}

preset_unit() {
    systemctl --no-reload preset "$1" >/dev/null 2>&1 || warn "could not apply the preset of $1"
}

# invoke ACTION UNIT: a service that does not come up is not the package's failure.
invoke() {
    if has_systemd; then
        systemctl "$1" "$2" || warn "could not $1 $2; see: systemctl status $2"
    fi
}

# outside PROGRAM ...: run as a unit of its own, out of what rpm shuts scriptlets in
# (%__transaction_unshare_nonet).
outside() {
    if has_systemd; then
        systemd-run --quiet --wait --pipe --collect \
            --setenv="BACKENDAI_ALLOW_UPGRADE=${BACKENDAI_ALLOW_UPGRADE:-}" "$@"
    else
        "$@"
    fi
}

# may_start UNIT: whether systemd runs.
may_start() {
    has_systemd
}

start_unit() {
    invoke start "$1"
}

# Stopped by hand, because disable --now needs a running systemd.
drop_unit() {
    if has_systemd; then
        systemctl stop "$1" || warn "could not stop $1"
    fi
    forget_failure "$1"
    systemctl --no-reload disable "$1" >/dev/null 2>&1 || true # never enabled
}
