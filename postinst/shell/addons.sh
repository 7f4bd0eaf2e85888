# What an add-on's package has done by the service that it belongs to.
# shellcheck disable=SC2329

python={{ (runtime ~ "/bin/python3") | sh }}

# Failures are the environment's: a broken agent.toml, a full disk.
sync_addons() {
    [ ! -e {{ ("/var/lib/backendai/first-boot/" ~ package.addon.service) | sh }} ] || return 0 # see service.sh
    "$python" -I -B /usr/lib/backendai/target addon sync {{ package.addon.service | sh }} ||
        warn "not enabled or disabled. Once fixed, run: backendai-ctl addon sync {{ package.addon.service }}"
}
