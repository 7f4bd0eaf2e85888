# What dpkg takes away beyond the payload. It removes each folder of the last package that
# had a file there, /opt included, which base-files made; and a link in the place of such a
# folder, although an admin made it.
# shellcheck disable=SC2329

links_note={{ ("/var/lib/backendai/." ~ package.name ~ ".links") | sh }}

# Before the removal: remembers which folders on the way to the payload are links.
note_links() {
    rm -f "$links_note"
    for folder in /opt /opt/backendai{% if prefix %} {{ prefix | sh }}{% endif %}; do
        [ -L "$folder" ] || continue
        mkdir -p "${links_note%/*}"
        printf '%s\n%s\n' "$folder" "$(readlink "$folder")" >>"$links_note"
    done
}

# After it: puts back what dpkg took.
keep_opt() {
    if [ -f "$links_note" ]; then
        while IFS= read -r folder && IFS= read -r target; do
            [ -e "$folder" ] || [ -L "$folder" ] || ln -s "$target" "$folder" ||
                warn "could not make $folder a link to $target again"
        done <"$links_note"
        rm -f "$links_note"
        rmdir "${links_note%/*}" 2>/dev/null || true # not empty
    fi
    [ -e /opt ] || [ -L /opt ] || mkdir -m 0755 /opt
}
