#!/bin/sh
# certificate_files.sh - is every bundle of certificates there, and does it hold a certificate?
#
# Its arguments are the bundles' absolute paths, at least one. Needs grep.
set -u

fail() {
    printf '%s\n' "$2" >&2
    exit "$1"
}

[ $# -gt 0 ] || fail 2 "no argument was given: expected absolute paths of certificate bundles"
command -v grep >/dev/null || fail 1 "grep is missing, so no bundle can be looked at"
failed=0
for bundle in "$@"; do
    case $bundle in
        /*) ;;
        *) fail 2 "'$bundle' is an argument: expected an absolute path, such as /tls/ca.crt" ;;
    esac
    certificates=$(grep -e '^-----BEGIN CERTIFICATE-----' -- "$bundle")
    if [ -z "$certificates" ]; then
        printf '%s\n' "$bundle holds no certificate" >&2
        failed=1
    fi
done
exit "$failed"
