# debconf's questions: each stands for an answer of site.toml.
# shellcheck disable=SC2329

questions='etcd-addresses database-address redis-address admin-email'

# etcd-addresses: etcd.addresses
answer_name() {
    echo "${1%%-*}.${1#*-}"
}

# etcd-addresses: BACKENDAI_ETCD_ADDRESSES
answer_variable() {
    echo "BACKENDAI_$1" | tr 'a-z-' 'A-Z_'
}

# answer_now QUESTION: prints what site.toml says; false where no tool is installed.
answer_now() {
    command -v backendai-ctl >/dev/null || return 1
    backendai-ctl site get "$(answer_name "$1")" 2>/dev/null </dev/null
}
