#!/bin/sh
# Every certificate bundle named as an argument must be there and hold a certificate.
failed=0
for bundle in "$@"; do
    if ! grep -q 'BEGIN CERTIFICATE' "$bundle"; then
        echo "$bundle holds no certificate" >&2
        failed=1
    fi
done
exit "$failed"
