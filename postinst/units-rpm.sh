# Units on rpm systems: presets decide what is enabled at a first installation.
# shellcheck disable=SC2329

preset_unit() {
    systemctl --no-reload preset "$1" >/dev/null 2>&1 || warn "could not apply the preset of $1"
}

start_unit() {
    if has_systemd; then
        systemctl start "$1" || warn "could not start $1; see: systemctl status $1"
    fi
}

# Stopped by hand, because disable --now needs a running systemd.
drop_unit() {
    if has_systemd; then
        systemctl stop "$1" || warn "could not stop $1"
    fi
    systemctl --no-reload disable "$1" >/dev/null 2>&1 || true # never enabled
}
