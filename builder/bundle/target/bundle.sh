#!/bin/sh
# A bundle of packages: a signed repository and images for hosts without a network.
#
#   sh FILE list                    print what is in it
#   sh FILE verify                  check its signature and its sums; writes nothing
#   sh FILE unpack DIR              verify, and unpack into DIR, which is made
#   sh FILE install [PACKAGE...]    verify, and install or upgrade from it alone (root)
#   sh FILE remove                  remove the source that install added (root)
#   sh FILE join TARGET             one file of one that lies in parts
#
# Options: --fingerprint KEY refuses a bundle that another key signed; --dry-run makes
# install stop before anything is installed; --host-sources lets install take what the
# bundle lacks from the sources that the host has.
set -eu
LC_ALL=C
PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
export LC_ALL PATH
umask 022

# Exit codes. docs/guides/operator.md explains them.
USAGE=2 BROKEN=3 PARTS=4 HOST=5 PACKAGES=6 IMAGES=7

state=/var/lib/backendai-bundle
apt_source=/etc/apt/sources.list.d/backendai-bundle.sources
dnf_source=/etc/yum.repos.d/backendai-bundle.repo
zypper_source=/etc/zypp/repos.d/backendai-bundle.repo

fail() { # CODE MESSAGE [HINT]
    printf 'error: %s\n' "$2" >&2
    [ -z "${3:-}" ] || printf 'hint: %s\n' "$3" >&2
    exit "$1"
}

step() { printf '%s\n' "$*"; }

# The text before the payload: this script and the sections after it.
head_text() { sed '/^__PAYLOAD__$/q' "$self"; }

section() { # NAME NEXT
    head_text | sed -n "/^__$1__\$/,/^__$2__\$/p" | sed '1d;$d'
}

field() { sed -n "s/^$1: //p" "$work/manifest"; }

sum_of() { sha256sum "$1" | cut -d ' ' -f 1; }

size_of() { wc -c <"$1" | tr -d ' '; }

open_bundle() {
    [ -r "$self" ] || fail $USAGE "cannot read $self" "run it as: sh FILE ACTION"
    for tool in sed tar sha256sum base64 tail df awk mktemp; do
        command -v $tool >/dev/null || fail $HOST "$tool not found on this host"
    done
    work=$(mktemp -d) || fail $HOST "cannot make a temporary folder" "set TMPDIR to one that can be written"
    trap 'finish' EXIT
    trap 'exit 130' INT
    trap 'exit 143' TERM HUP
    section MANIFEST SIGNATURE >"$work/manifest"
    section SIGNATURE KEYS | base64 -d >"$work/manifest.sig" 2>/dev/null || :
    section KEYS PAYLOAD | base64 -d >"$work/keys.gpg" 2>/dev/null || :
    id=$(field Bundle)
    case $id in
        '' | *[!A-Za-z0-9.+~_-]* | .*)
            fail $BROKEN "$self: is cut off or no bundle" "copy it again from its source"
            ;;
    esac
    head_size=$(head_text | wc -c | tr -d ' ')
    here=$(dirname -- "$self")
    find_payload
}

# Where the content is: after the script, in parts beside it, or unpacked around it.
find_payload() {
    if [ "$(size_of "$self")" -gt "$head_size" ]; then
        form=whole
    elif [ -f "$here/SHA256SUMS" ] && [ "$(sum_of "$here/SHA256SUMS")" = "$(field Sums-SHA256)" ]; then
        form=tree
    else
        form=parts
    fi
}

# shellcheck disable=SC2329 # a trap calls it
finish() {
    [ -z "${undo:-}" ] || roll_back
    [ -z "${unfinished:-}" ] || rm -rf "$unfinished"
    rm -rf "$work"
}

# The key and the primary key of each good signature, out of what gpg and gpgv report.
valid_keys() { sed -n 's/^\[GNUPG:\] VALIDSIG \([0-9A-F]*\) .* \([0-9A-F]*\)$/\1 \2/p'; }

check_signature() {
    checked=
    if command -v gpgv >/dev/null; then
        checked=$(gpgv --status-fd 1 --keyring "$work/keys.gpg" "$work/manifest.sig" "$work/manifest" 2>"$work/log") || checked=
        checked=$(printf '%s\n' "$checked" | valid_keys)
    elif command -v sqv >/dev/null; then
        checked=$(sqv --keyring "$work/keys.gpg" --signature-file "$work/manifest.sig" "$work/manifest" 2>"$work/log") || checked=
    elif command -v gpg >/dev/null; then
        mkdir -m 700 "$work/gnupg"
        checked=$(GNUPGHOME="$work/gnupg" gpg --batch --no-default-keyring --keyring "$work/keys.gpg" --status-fd 1 \
            --verify "$work/manifest.sig" "$work/manifest" 2>"$work/log") || checked=
        checked=$(printf '%s\n' "$checked" | valid_keys)
    else
        fail $HOST "neither gpgv, sqv nor gpg is on this host, and nothing is installed unverified" \
            "install gpgv from the distribution's medium"
    fi
    [ -n "$checked" ] || fail $BROKEN "$self: the signature does not fit: $(tail -n 1 "$work/log")" \
        "the bundle was changed or cut off: copy it again from its source"
    signers=$(printf '%s\n' "$checked" | tr ' ' '\n' | sort -u | tr '\n' ' ')
    if [ -n "$pinned" ]; then
        case " $signers" in
            *" $pinned "*) step "signed by $pinned, as demanded" ;;
            *) fail $BROKEN "$self: is signed by ${signers% }, not by $pinned" \
                "take the bundle from the owner of that key, or correct --fingerprint" ;;
        esac
    else
        step "signed by $(field Fingerprint): compare it with what the publisher names, or pin it by --fingerprint"
    fi
}

parts() { sed -n 's/^Part: //p' "$work/manifest"; }

check_payload() {
    case $form in
        whole)
            size=$(($(size_of "$self") - head_size))
            [ "$size" -eq "$(field Payload-Size)" ] ||
                fail $BROKEN "$self: has $size bytes of content, not $(field Payload-Size): it is cut off" \
                    "copy it again from its source"
            tail -c "+$((head_size + 1))" "$self" | sha256sum | cut -d ' ' -f 1 >"$work/sum"
            [ "$(cat "$work/sum")" = "$(field Payload-SHA256)" ] ||
                fail $BROKEN "$self: its content is damaged" "copy it again from its source"
            ;;
        parts) check_parts ;;
        tree) check_tree "$here" ;;
    esac
}

check_parts() {
    parts >"$work/parts"
    count=$(wc -l <"$work/parts" | tr -d ' ')
    [ "$count" -gt 0 ] || fail $BROKEN "$self: its content is missing: it is cut off" "copy it again from its source"
    number=0
    # All that are missing first: they lie on other media.
    missing=
    while read -r _ _ name; do
        [ -f "$here/$name" ] || missing="$missing $name"
    done <"$work/parts"
    [ -z "$missing" ] || fail $PARTS "of $count parts there is no$missing in $here" \
        "copy all parts into one folder, beside $(basename -- "$self")"
    while read -r size sum name; do
        number=$((number + 1))
        found=$(size_of "$here/$name")
        [ "$found" -eq "$size" ] || fail $PARTS "$here/$name: has $found bytes, not $size: it is cut off, or of another bundle" \
            "copy part $number of $count again from its medium"
        [ "$(sum_of "$here/$name")" = "$sum" ] || fail $PARTS "$here/$name: is damaged, or of another bundle" \
            "copy part $number of $count again from its medium"
    done <"$work/parts"
}

check_tree() { # DIR
    [ "$(sum_of "$1/SHA256SUMS")" = "$(field Sums-SHA256)" ] || fail $BROKEN "$1/SHA256SUMS: is not what was signed" \
        "unpack the bundle again"
    (cd -- "$1" && sha256sum --check --quiet SHA256SUMS) >"$work/log" 2>&1 ||
        fail $BROKEN "$1: $(head -n 1 "$work/log")" "unpack the bundle again"
}

verify() {
    check_signature
    check_payload
}

payload() {
    if [ "$form" = whole ]; then
        tail -c "+$((head_size + 1))" "$self"
    else
        parts | while read -r _ _ name; do cat -- "$here/$name" || exit 1; done
    fi
}

need_space() { # FOLDER BYTES
    free=$(df -Pk "$1" | awk 'NR == 2 { print $4 }')
    needed=$(($2 / 1024 + 1))
    [ "$free" -ge "$needed" ] || fail $HOST "$1: $((needed / 1024)) MiB are needed, and $((free / 1024)) MiB are free" \
        "free some space there"
}

fill() { # DIR
    if [ "$form" = tree ]; then
        (cd -- "$here" && { echo SHA256SUMS && sed 's/^[0-9a-f]*  //' SHA256SUMS; } | tar -cf - -T -) |
            tar -xf - --no-same-owner -C "$1"
    else
        payload | tar -xf - --no-same-owner -C "$1"
    fi
    head_text >"$1/bundle"
    check_tree "$1"
}

unpack() { # DIR
    [ ! -e "$1" ] || fail $USAGE "$1 exists already" "name a folder that does not exist"
    parent=$(dirname -- "$1")
    [ -d "$parent" ] || fail $USAGE "$parent is no folder" "make it, or name another one"
    verify
    need_space "$parent" "$(field Unpacked-Size)"
    unfinished=$parent/.$(basename -- "$1").$$.part
    mkdir -- "$unfinished" || fail $HOST "$parent cannot be written"
    fill "$unfinished"
    mv -- "$unfinished" "$1"
    unfinished=
    step "unpacked into $1: 'sh $1/bundle install' installs from there"
}

join() { # TARGET
    [ ! -e "$1" ] || fail $USAGE "$1 exists already" "name a file that does not exist"
    [ "$form" = parts ] || fail $USAGE "$self: does not lie in parts"
    verify
    need_space "$(dirname -- "$1")" "$(field Payload-Size)"
    unfinished=$1.$$.part
    { head_text && payload; } >"$unfinished"
    mv -- "$unfinished" "$1"
    unfinished=
    step "joined $count parts into $1"
}

show() {
    sed -n '/^Part: /!p' "$work/manifest"
    [ "$form" != parts ] || parts | while read -r size _ name; do
        present=missing
        [ ! -f "$here/$name" ] || present=present
        printf 'Part: %s, %s bytes, %s\n' "$name" "$size" "$present"
    done
}

need_root() {
    [ "$(id -u)" -eq 0 ] || fail $HOST "$action is for root, and this is $(id -un)" "run: sudo sh $self $action"
}

find_manager() {
    if command -v apt-get >/dev/null && [ -d /var/lib/dpkg/info ] && ! is_rpm_host; then
        manager=apt fmt=deb source=$apt_source
    elif command -v zypper >/dev/null && { is_suse || ! command -v dnf >/dev/null; }; then
        manager=zypper fmt=rpm source=$zypper_source
    elif command -v dnf >/dev/null; then
        manager=dnf fmt=rpm source=$dnf_source
    else
        fail $HOST "neither apt-get, dnf nor zypper is on this host"
    fi
}

# Each of dnf and zypper is a package of the other's distributions, with sources of its own.
is_suse() { grep -qiE '^ID(_LIKE)?=.*suse' /etc/os-release; }

# Debian has rpm and dnf as tools, and an rpm host may have dpkg: the database decides.
is_rpm_host() { command -v rpm >/dev/null && [ -n "$(rpm -qa 2>/dev/null | head -n 1)" ]; }

names() { sed -n "s/^Package: $fmt \([^ ]*\) .*/\1/p" "$work/manifest" | sort -u; }

check_host() {
    case $(uname -m) in
        x86_64) arch=amd64 ;;
        aarch64) arch=arm64 ;;
        *) arch=$(uname -m) ;;
    esac
    [ "$arch" = "$(field Architecture)" ] || fail $HOST "this host is $arch, and the bundle is for $(field Architecture)" \
        "take the bundle for $arch"
    [ -n "$(names)" ] || fail $HOST "the bundle has no package for $manager" \
        "make it with: builder bundle --format $fmt"
    for name in $chosen; do
        names | grep -qxF -e "$name" || fail $USAGE "the bundle has no package $name" \
            "it has: $(names | tr '\n' ' ')"
    done
}

is_installed() {
    case $manager in
        apt) [ "$(dpkg-query -W -f '${db:Status-Status}' "$1" 2>/dev/null)" = installed ] ;;
        dnf | zypper) rpm -q "$1" >/dev/null 2>&1 ;;
    esac
}

# The packages that are asked for, and those of the bundle that the host has: these follow.
wanted() {
    {
        printf '%s\n' "$chosen" | tr ' ' '\n'
        names | while read -r name; do
            if is_installed "$name"; then echo "$name"; fi
        done
    } | sort -u | tr '\n' ' '
}

# Write the source of the package manager; roll_back puts the former one in its place.
add_source() {
    mkdir -p "$(dirname "$source")"
    former=
    if [ -e "$source" ]; then
        cp -p "$source" "$work/former"
        former=yes
    fi
    undo=yes
    case $manager in
        apt)
            cat "$tree/setup/bundle.sources" >"$source.new"
            # shellcheck disable=SC1091 # each host has its own
            suite=$(. /etc/os-release && echo "${VERSION_CODENAME:-}")
            if [ -n "$suite" ] && [ -f "$tree/setup/$suite.sources" ]; then
                cat "$tree/setup/$suite.sources" >>"$source.new"
            fi
            ;;
        dnf) cat "$tree/setup/bundle.repo" >"$source.new" ;;
        zypper) cat "$tree/setup/bundle-zypper.repo" >"$source.new" ;;
    esac
    chmod 644 "$source.new"
    mv "$source.new" "$source"
}

# shellcheck disable=SC2329 # finish calls it
roll_back() {
    undo=
    rm -f "$source.new"
    if [ -n "$former" ]; then
        cp -p "$work/former" "$source.new" && mv "$source.new" "$source"
    else
        rm -f "$source"
    fi
    [ -n "$kept" ] || rm -rf "$tree"
}

run_apt() {
    if [ -n "$host_sources" ]; then
        DEBIAN_FRONTEND=noninteractive apt-get -q "$@" </dev/null
    else
        DEBIAN_FRONTEND=noninteractive apt-get -q -o Dir::Etc::sourcelist="$source" \
            -o Dir::Etc::sourceparts=- "$@" </dev/null
    fi
}

run_dnf() {
    if [ -n "$host_sources" ]; then
        dnf -y --setopt=install_weak_deps=False "$@" </dev/null
    else
        dnf -y --setopt=install_weak_deps=False --disablerepo='*' --enablerepo='backendai-bundle*' "$@" </dev/null
    fi
}

call_zypper() { # SOURCES ACTION [WORD...]
    folder=$1
    shift
    status=0
    zypper --non-interactive --gpg-auto-import-keys --reposd-dir "$folder" "$@" </dev/null || status=$?
    # A reboot, or zypper's own restart, is due then: all is installed.
    case $status in 102 | 103) status=0 ;; esac
    return $status
}

# Its install upgrades what is older, too.
run_zypper() { # [OPTION...] NAME...
    folder=$(dirname "$source")
    [ -n "$host_sources" ] || folder=$work/sources
    call_zypper "$folder" install --no-recommends "$@"
}

# Whether everything can be installed: changes nothing.
try_packages() {
    lacks="what the bundle and the host lack is one of the distribution's"
    if [ $manager = apt ]; then
        run_apt update -o APT::Get::List-Cleanup=0 -o Dir::Etc::sourcelist="$source" -o Dir::Etc::sourceparts=- \
            -o APT::Update::Error-Mode=any >"$work/log" 2>&1 ||
            fail $PACKAGES "apt-get cannot read $source: $(grep -m 1 '^[EW]:' "$work/log" || tail -n 1 "$work/log")"
        # shellcheck disable=SC2046 # words
        if ! run_apt install --simulate --no-install-recommends --no-remove $(wanted) >"$work/log" 2>&1; then
            grep -E ' (Depends|PreDepends|Breaks|Conflicts): |^  *(Depends|PreDepends|Breaks|Conflicts): |^E: |^  [a-z0-9]' "$work/log" >&2 || cat "$work/log" >&2
            fail $PACKAGES "apt-get finds no way to install $(wanted)from the bundle alone: nothing was changed" \
                "$lacks: make the bundle by 'builder bundle --with-dependencies SUITE', or let it use the host's sources by --host-sources"
        fi
    elif [ $manager = zypper ]; then
        try_zypper
    else
        run_dnf clean expire-cache >/dev/null 2>&1 || : # a repository of the same name was there before
        for_dnf try_dnf
    fi
}

try_zypper() {
    mkdir -p "$work/sources"
    cp "$source" "$work/sources/"
    call_zypper "$work/sources" refresh --force >"$work/log" 2>&1 ||
        fail $PACKAGES "zypper cannot read $source: $(tail -n 1 "$work/log")"
    # shellcheck disable=SC2046 # words
    run_zypper --dry-run --details $(wanted) >"$work/log" 2>&1 || {
        grep -iE 'nothing provides|no provider|problem|error|conflict' "$work/log" >&2 || cat "$work/log" >&2
        fail $PACKAGES "zypper finds no way to install $(wanted)from the bundle alone: nothing was changed" \
            "$lacks: add its medium as a source, and run this with --host-sources"
    }
}

# 'dnf install' leaves an older version that is installed; 'dnf upgrade' installs nothing new.
for_dnf() { # COMMAND
    present='' absent=''
    for name in $(wanted); do
        if is_installed "$name"; then present="$present $name"; else absent="$absent $name"; fi
    done
    if [ -n "$present" ]; then
        # shellcheck disable=SC2086 # words
        "$1" upgrade $present || return 1
    fi
    if [ -n "$absent" ]; then
        # shellcheck disable=SC2086
        "$1" install $absent || return 1
    fi
}

# shellcheck disable=SC2329 # for_dnf calls it
try_dnf() { # ACTION NAME...
    run_dnf --assumeno "$@" >"$work/tried" 2>&1 || :
    cat "$work/tried" >>"$work/log"
    grep -qiE 'operation aborted|nothing to do' "$work/tried" || {
        grep -iE 'nothing provides|problem|error|conflict' "$work/tried" >&2 || cat "$work/tried" >&2
        fail "$PACKAGES" "dnf finds no way to $* from the bundle alone: nothing was changed" \
            "$lacks: add its medium as a source, and run this with --host-sources"
    }
}

install_packages() {
    # shellcheck disable=SC2046 # words
    case $manager in
        apt) run_apt install --yes --no-install-recommends --no-remove $(wanted) ;;
        zypper) run_zypper $(wanted) ;;
        dnf) for_dnf run_dnf ;;
    esac || fail $PACKAGES "the installation failed: see above" "fix the cause, and run this again"
}

load_images() {
    [ -d "$tree/images" ] || return 0
    command -v docker >/dev/null || fail $IMAGES "the packages are installed, the images are not: docker not found" \
        "install Docker, and run this again"
    for image in "$tree"/images/*; do
        step "loading $(basename "$image")"
        docker load --quiet --input "$image" || fail $IMAGES "docker cannot load $image" \
            "see 'docker info' and the space of its folder, and run this again"
    done
    rm -rf "$tree/images" # Docker has them now
}

install() {
    need_root
    find_manager
    [ -n "$chosen" ] || chosen=$(field Packages)
    check_host
    mkdir -p "$state"
    exec 9>"$state/.lock"
    if command -v flock >/dev/null; then
        flock -n 9 || fail $HOST "another bundle is being installed" "wait until it has ended"
    fi
    verify
    tree=$state/$id
    rm -rf "$state"/.*.part # of an installation that was killed
    kept=
    if [ -f "$tree/bundle" ] && (check_tree "$tree") 2>/dev/null; then
        kept=yes
    else
        need_space "$state" "$(field Unpacked-Size)"
        unfinished=$state/.$id.part
        mkdir "$unfinished"
        fill "$unfinished"
        rm -rf "$tree"
        mv "$unfinished" "$tree"
        unfinished=
    fi
    add_source
    try_packages
    if [ -n "$dry_run" ]; then
        sed -n '/^Inst /p; /^Installing/,$p; /^The following/,$p' "$work/log"
        step "nothing was changed"
        return 0
    fi
    undo=
    install_packages 9>&-
    load_images
    for other in "$state"/*; do
        [ "$other" = "$tree" ] || rm -rf "$other"
    done
    step "installed: $chosen"
    step "its packages stay in $tree, which $source names; 'sh $tree/bundle remove' removes both"
}

remove() {
    need_root
    rm -f "$apt_source" "$dnf_source" "$zypper_source"
    rm -rf "$state"
    step "removed the source and $state; installed packages stay"
}

usage() {
    sed -n '2,/^set -eu/p' "$self" | sed -n 's/^# \{0,1\}//p' >&2
    exit $USAGE
}

main() {
    self=$0
    action='' pinned='' dry_run='' host_sources='' chosen='' count=0 kept='' former='' undo='' unfinished=''
    while [ $# -gt 0 ]; do
        case $1 in
            --fingerprint)
                [ $# -gt 1 ] || usage
                pinned=$(printf '%s' "$2" | tr -d ' ' | tr a-f A-F)
                case $pinned in *[!0-9A-F]* | '') fail $USAGE "'$2' is no fingerprint of a key" ;; esac
                [ ${#pinned} -ge 40 ] || fail $USAGE "'$2' is not the whole fingerprint of a key" "it has 40 or 64 digits"
                shift
                ;;
            --dry-run) dry_run=yes ;;
            --host-sources) host_sources=yes ;;
            -*) usage ;;
            *)
                if [ -z "$action" ]; then action=$1; else chosen="$chosen $1"; fi
                ;;
        esac
        shift
    done
    chosen=${chosen# }
    case $action:$chosen in
        list: | verify: | remove: | install:*) ;;
        unpack:?* | join:?*) ;;
        *) usage ;;
    esac
    open_bundle
    case $action in
        list) show ;;
        verify)
            verify
            step "$id is whole"
            ;;
        unpack) unpack "$chosen" ;;
        join) join "$chosen" ;;
        install) install ;;
        remove) remove ;;
    esac
}

main "$@"
exit 0
