# Removes what is ours, and nothing of the admin's: what is mounted at or below one of our
# folders, and links in the place of folders, stay with all that is below them.
# shellcheck disable=SC2329

# Device numbers would not show a bind mount of the same file system. In mountinfo a space of
# a name is \040, a tab \011, a newline \012 and a backslash \134.
mounts=
read_mounts() {
    [ -r /proc/self/mountinfo ] || return 1
    [ -n "$mounts" ] || mounts="
$(awk '{ print $5 }' /proc/self/mountinfo)
"
}

kept=

# keep PATH KIND: leaves PATH alone, for the one warning at the end.
keep() {
    case "$kept" in
        *"$1 ($2)"*) ;;
        *) kept="${kept:+$kept, }$1 ($2)" ;;
    esac
}

warn_kept() {
    [ -z "$kept" ] || warn "left as it is, with all that is below: $kept"
    kept=
}

# as_mounted PATH: PATH below $top as mountinfo writes it, with the folders above $top resolved.
as_mounted() {
    printf '%s\n' "${base%/}/${1#"${top%/*}/"}" |
        sed "s/\\\\/\\\\134/g; s/ /\\\\040/g; s/$(printf '\t')/\\\\011/g"
}

# is_kept PATH: true where PATH is a mount, or a folder above it that is ours is a mount or a
# link.
is_kept() {
    read_mounts || { keep "$1" "/proc is not mounted" && return 0; }
    for top in /etc/backend.ai /etc/docker /run/backendai /var/lib/backendai /var/log/backendai; do
        case "$1/" in "$top"/*) break ;; esac
    done
    base="$(cd -P "${top%/*}" 2>/dev/null && pwd -P)" || return 1 # then there is no PATH
    step="$top"
    while :; do
        case "$mounts" in
            *"
$(as_mounted "$step")
"*) keep "$step" mount && return 0 ;;
        esac
        [ "$step" != "$1" ] || return 1
        [ ! -L "$step" ] || { keep "$step" link && return 0; }
        rest="${1#"$step"/}"
        step="$step/${rest%%/*}"
    done
}

# erase_file PATH...: a link in the place of a file goes, and not what it leads to.
erase_file() {
    for path in "$@"; do
        if is_kept "$path"; then
            continue
        fi
        rm -f "$path" || warn "could not remove $path"
    done
}

# erase_folder PATH...: with all that is below it.
erase_folder() {
    for path in "$@"; do
        if is_kept "$path"; then
            continue
        elif [ -L "$path" ]; then
            keep "$path" link
        elif [ -d "$path" ]; then
            erase_below "$path" || warn "could not remove all of $path"
        fi
    done
}

# erase_all PATH...: files and folders of ours, by their names.
erase_all() {
    for path in "$@"; do
        if [ -d "$path" ]; then
            erase_folder "$path"
        else
            erase_file "$path"
        fi
    done
}

# as_pattern TEXT: as find's -path takes it, from how mountinfo writes it.
as_pattern() {
    printf '%s\n' "$1" | sed "s/[][*?]/\\\\&/g; s/\\\\040/ /g; s/\\\\011/$(printf '\t')/g; s/\\\\012/?/g; s/\\\\134/\\\\\\\\/g"
}

# mounts_below FOLDER: prints each, as mountinfo writes it; after is_kept.
mounts_below() {
    seen="$(as_mounted "$1")"
    while IFS= read -r place; do
        case "$place" in "$seen"/*) printf '%s\n' "$1${place#"$seen"}" ;; esac
    done <<END
$mounts
END
}

keep_mount() {
    keep "$(printf '%b' "$(printf '%s' "$1" | sed 's/\\/\\0/g')")" mount
}

# keep_mounts FOLDER...: for the warning where a removal leaves what is not empty.
keep_mounts() {
    for path in "$@"; do
        if ! [ -d "$path" ] || is_kept "$path"; then
            continue
        fi
        while IFS= read -r place; do
            [ -z "$place" ] || keep_mount "$place"
        done <<END
$(mounts_below "$path")
END
    done
}

# erase_below FOLDER: what is neither a mount, nor a link that leads out of FOLDER to a folder.
erase_below() {
    folder="$1"
    set --
    while IFS= read -r place; do
        [ -n "$place" ] || continue
        set -- "$@" -o -path "$(as_pattern "$place")"
        keep_mount "$place"
    done <<END
$(mounts_below "$folder")
END
    real="$(cd -P "$folder" && pwd -P)"
    while IFS= read -r place; do
        [ -n "$place" ] || continue
        case "$(readlink -f "$place")/" in "$real"/*) continue ;; esac
        set -- "$@" -o -path "$(printf '%s\n' "$place" | sed 's/[][*?\\]/\\&/g')"
        keep "$place" link
    done <<END
$(find "$folder" -xdev "(" -path "" "$@" ")" -prune -o -type l -xtype d -print)
END
    if [ "$#" -eq 0 ]; then
        rm -rf --one-file-system "$folder"
        return
    fi
    find "$folder" -xdev "(" -path "" "$@" ")" -prune -o ! -type d -execdir rm -f "{}" + || return
    # Folders that lead to what is kept are not empty.
    find "$folder" -xdev "(" -path "" "$@" ")" -prune -o -type d -print0 | LC_ALL=C sort -zr |
        xargs -0r rmdir --ignore-fail-on-non-empty 2>/dev/null || true
}
