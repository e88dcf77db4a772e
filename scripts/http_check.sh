#!/bin/sh
# http_check.sh - does a URL answer as it should, and soon enough?
#
#   URL             what to get, such as http://web.shop.svc/healthz (required; also as argument)
#   EXPECT_STATUS   the status it must answer with          (default: 200)
#   EXPECT_TEXT     a text its body must contain            (default: none)
#   MAX_LATENCY_MS  how many milliseconds it may take       (default: no limit)
#   TIMEOUT         seconds after which to give up on it    (default: 10)
#
# Needs curl; writes no files. Redirects are not followed: expect their status instead.
set -u
export LC_ALL=C

URL=${1:-${URL:-}}
EXPECT_STATUS=${EXPECT_STATUS:-200}
EXPECT_TEXT=${EXPECT_TEXT:-}
MAX_LATENCY_MS=${MAX_LATENCY_MS:-}

if [ -z "$URL" ]; then
    echo "URL is not set: name the URL to check" >&2
    exit 2
fi

# The last line is curl's own, so that body and figures come in one answer.
answer=$(curl -sS --max-time "${TIMEOUT:-10}" -w '\n%{http_code} %{time_total}' -- "$URL" | tr -d '\000')
figures=${answer##*
}
body=${answer%
*}
status=${figures% *}
seconds=${figures#* }

if [ -z "$figures" ] || [ "$status" = 000 ]; then
    echo "$URL could not be fetched" >&2
    exit 1
fi

# Without fractions, which sh cannot count: 1.234567 s are 1234567 microseconds.
milliseconds=$(((${seconds%.*} * 1000000 + 1${seconds#*.} - 1000000) / 1000))
failed=0
if [ "$status" != "$EXPECT_STATUS" ]; then
    echo "$URL answered with status $status, expected $EXPECT_STATUS" >&2
    failed=1
fi
case $body in
    *"$EXPECT_TEXT"*) ;;
    *)
        echo "$URL answered without the text '$EXPECT_TEXT'" >&2
        failed=1
        ;;
esac
if [ -n "$MAX_LATENCY_MS" ] && [ "$milliseconds" -gt "$MAX_LATENCY_MS" ]; then
    echo "$URL took $milliseconds ms, allowed are $MAX_LATENCY_MS ms" >&2
    failed=1
fi
echo "$URL answered with status $status in $milliseconds ms"
exit "$failed"
