# Removal, without the payload: it is gone when these run.
# shellcheck disable=SC2329
{% include "postinst/shell/erase.sh" %}

# Removes what the packages made in /etc/backend.ai; a file that an admin had put
# there before is recorded as found, and stays.
purge_config() {
    erase_file "/etc/backend.ai/$1.new"
    erase_all /etc/backend.ai/."$1".*backendai-tmp /var/lib/backendai/generated/."$1".*backendai-tmp
    if grep -q '^made ' "/var/lib/backendai/generated/$1" 2>/dev/null; then
        erase_file "/etc/backend.ai/$1"
    fi
    erase_file "/var/lib/backendai/generated/$1"
}

# purge_service NAME: state, logs and secrets of that service.
purge_service() {
    erase_folder "/var/lib/backendai/$1" "/var/log/backendai/$1" "/run/backendai/$1"
    purge_secrets "$1"
}

purge_secrets() {
    erase_all /var/lib/backendai/secrets/"$1"-* /var/lib/backendai/secrets/."$1"-* \
        /var/lib/backendai/credentials/."$1".* /var/lib/backendai/seed/."$1".* \
        /var/lib/backendai/seed/scan/."$1".*
    erase_file "/var/lib/backendai/credentials/$1.toml" "/var/lib/backendai/seed/$1.log" \
        "/var/lib/backendai/seed/scan/$1.log" "/var/lib/backendai/first-boot/$1"
    # Dumps of its database stay: nobody can make them again.
    erase_all /var/lib/backendai/upgrade/"$1".*
}

# What Docker got for the registries of site.toml; a file that is not as it was given is the
# admin's.
purge_registries() {
    for record in /var/lib/backendai/trust/docker/*; do
        file="/etc/docker/certs.d/${record##*/}/ca.crt"
        if cmp -s "$record" "$file"; then
            erase_file "$file"
            rmdir "${file%/*}" 2>/dev/null || true # the admin has files there
        fi
    done
}

# What services made for each other goes with the last that was configured here; one
# that is removed, and not purged, still has its records.
purge_shared_secrets() {
    for record in /var/lib/backendai/generated/*; do
        case "${record##*/}" in
            site.toml | '*') ;;
            *) return 0 ;;
        esac
    done
    erase_file /var/lib/backendai/mounts
    erase_file /var/lib/backendai/secrets/manager-rpc.key # an agent's node has it, too
    while read -r name; do
        erase_file "/var/lib/backendai/secrets/$name"
    done <<'END'
{% include "postinst/site/shared-secrets" %}
END
}

# The shared folders go with the last that was in them. What a killed run left unfinished does
# not keep a folder; where there is something else, an active run may be writing.
remove_empty_folders() {
    for folder in /run/backendai /var/log/backendai /var/lib/backendai/secrets \
        /var/lib/backendai/generated /var/lib/backendai/credentials \
        /var/lib/backendai/upgrade /var/lib/backendai/first-boot /var/lib/backendai/backup \
        /var/lib/backendai/seed/scan /var/lib/backendai/seed/waiting /var/lib/backendai/seed \
        /var/lib/backendai /etc/backend.ai; do
        if [ -z "$(find "$folder" -mindepth 1 -maxdepth 1 ! -name '.*.backendai-tmp' -print -quit 2>/dev/null)" ]; then
            erase_all "$folder"/.*.backendai-tmp
        fi
        rmdir "$folder" 2>/dev/null || true # not empty, or never made
    done
}

# forget_unit UNIT: what systemd, Debian's helper and `backendai-ctl configure` have of it.
forget_unit() {
    rm -f "/etc/systemd/system/$1.d/50-files.conf" "/etc/systemd/system/$1.d/50-volumes.conf"
    rmdir "/etc/systemd/system/$1.d" 2>/dev/null || true # the admin has settings there, or none
    if command -v deb-systemd-helper >/dev/null; then
        deb-systemd-helper purge "$1" >/dev/null || true # it was never enabled
    fi
}
