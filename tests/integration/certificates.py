"""Certificates on a host, as a site has them, by functions that a script of openssl begins with."""

# Python's default context wants what RFC 5280 does: keyUsage, and the signer's key identifier.
FUNCTIONS = r"""
# make NAME OPTION ...: a key NAME.key, and what 'openssl req' makes with it.
make() {
    key="$1.key"
    shift
    openssl req -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -keyout "$key" "$@"
}

# authority NAME: NAME.pem and its key.
authority() {
    make "$1" -x509 -days 90 -subj "/CN=$1" -out "$1.pem" \
        -addext keyUsage=critical,keyCertSign,cRLSign
}

# pair NAME AUTHORITY DNS:HOST[,DNS:HOST ...] OPTION ...: NAME.pem and its key; options as the days.
pair() {
    name="$1"
    authority="$2"
    hosts="$3"
    shift 3
    first="${hosts%%,*}"
    make "$name" -subj "/CN=${first#DNS:}" -out csr
    printf 'subjectAltName = %s\nauthorityKeyIdentifier = keyid\n' "$hosts" >extensions
    openssl x509 -req -in csr -CA "$authority.pem" -CAkey "$authority.key" -CAcreateserial "$@" \
        -extfile extensions -out "$name.pem"
    rm csr extensions
}
"""
