# What a service's package does on the host. The configuration tool's failures
# are the environment's (a wrong answer, a full disk): each is told, and the
# package manager goes on.
# shellcheck disable=SC2329

tool() {
    {% if prefix %}
    {{ prefix | sh }}/bin/python3 -I -B /usr/lib/backendai/target "$@"
    {% else %}
    backendai-ctl "$@"
    {% endif %}
}

make_folders() {
    systemd-tmpfiles --create {{ (package.name ~ ".conf") | sh }} || warn "could not make all folders in /var and /run"
}

configure_service() {
    if tool configure {{ package.service.name | sh }}; then
        return 0
    fi
    warn "not configured. Once mended, run: backendai-ctl configure {{ package.service.name }}"
}

# True where the stores answer and are filled, so that a first start can succeed.
can_start() {
    tool check-stores {{ package.service.name | sh }} >/dev/null 2>&1
}

show_steps() {
    tool steps {{ package.service.name | sh }} 2>/dev/null || true # configure has said why
}
