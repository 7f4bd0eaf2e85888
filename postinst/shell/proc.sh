# Without /proc, as in `dpkg --root` on a bare folder, no folder could be made
# (systemd-tmpfiles needs it) and no mount be seen. Then every package refuses, before it
# changes anything.
# shellcheck disable=SC2329

require_proc() {
    [ ! -r /proc/self/mountinfo ] || return 0
    echo "{{ package.name }}: error: /proc is not mounted in this root" >&2
    echo "{{ package.name }}: hint: mount -t proc proc ROOT/proc, where ROOT is the folder of dpkg --root; then repeat the command" >&2
    exit 1
}
