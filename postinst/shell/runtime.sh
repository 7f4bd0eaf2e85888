# What the runtime's package does for the services that run on it.
# shellcheck disable=SC2329

{% include "postinst/shell/pending.sh" %}

# note_running SERVICE UNIT: what does not run has nothing of the older runtime in its memory.
note_running() {
    if is_running "$2"; then
        note_pending "$1" "$2"
    fi
}

# Notes all services that run: they would go on with code that is no longer on the disk.
note_services() {
    {% for service in on_runtime %}
    {% for unit in service.units + service.manual_units %}
    note_running {{ service.name | sh }} {{ unit | sh }}
    {% endfor %}
    {% endfor %}
}
