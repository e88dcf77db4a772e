#!/bin/sh
# http_check.sh - does a URL answer as it should, and soon enough?
#
#   URL             what to get, such as http://web.shop.svc/healthz (required, or an argument)
#   EXPECT_STATUS   the status it must answer with          (default: 200)
#   EXPECT_TEXT     a text its body must contain            (default: none)
#   MAX_LATENCY_MS  how many milliseconds it may take       (default: no limit)
#   TIMEOUT         whole seconds after which to give up    (default: 10)
#
# Needs curl and tr; writes no files. Redirects are not followed: expect their status instead.
# Ends with 1 where the answer is not as it should be or there is none, with 2 for a wrong value.
#
# Example: khshim manifest http_check.sh --interval 1m --timeout 30s --env URL=http://web.shop.svc/healthz
# Replaces: http-check, http-content-check
set -u
export LC_ALL=C # where [0-9] matches ten characters, and a body may be of any bytes

fail() {
    printf '%s\n' "$2" >&2
    exit "$1"
}

[ $# -le 1 ] || fail 2 "$# arguments were given: expected one, the URL"
an_address="expected an address such as http://web.shop.svc/healthz"
[ "${1+set}${URL+set}" ] || fail 2 "URL is not set: $an_address"
URL=${1-${URL-}}
case $URL in
    *[[:space:]]*) fail 2 "URL is '$URL': $an_address" ;;
    http://[!/]* | https://[!/]*) ;;
    *) fail 2 "URL is '$URL': $an_address" ;;
esac
EXPECT_STATUS=${EXPECT_STATUS-200}
case $EXPECT_STATUS in
    [1-5][0-9][0-9]) ;;
    *) fail 2 "EXPECT_STATUS is '$EXPECT_STATUS': expected a status from 100 to 599" ;;
esac
[ "${EXPECT_TEXT-unset}" ] || fail 2 "EXPECT_TEXT is '': expected a text, or the variable not to be set"
case ${MAX_LATENCY_MS-1} in
    '' | 0* | *[!0-9]* | ???????*)
        fail 2 "MAX_LATENCY_MS is '$MAX_LATENCY_MS': expected a whole number from 1 to 999999"
        ;;
esac
TIMEOUT=${TIMEOUT-10}
case $TIMEOUT in # 0 would be no limit to curl
    '' | 0* | *[!0-9]* | ?????*) fail 2 "TIMEOUT is '$TIMEOUT': expected a whole number from 1 to 9999" ;;
esac
for tool in curl tr; do
    command -v "$tool" >/dev/null || fail 1 "$tool is missing, so $URL could not be fetched"
done

# Body, status and time, and curl's exit status, which the pipe would lose: an answer that breaks off
# has a status too. curl needs a UTF-8 locale for names beyond ASCII, and -g to ask for just one URL.
answer=$({
    LC_ALL=C.UTF-8 curl -sSg --max-time "$TIMEOUT" -w '\n%{http_code} %{time_total}' -- "$URL"
    echo " $?"
} | tr -d '\000')
figures=${answer##*
}
case $figures in
    [1-9][0-9][0-9]' '[0-9]*.[0-9]*' 0') ;;
    *) fail 1 "$URL could not be fetched" ;;
esac
body=${answer%
*}
status=${figures%% *}
seconds=${figures#* }
seconds=${seconds% *}

# Without fractions, which sh cannot count: 1.234567 s are 1234567 microseconds.
milliseconds=$(((${seconds%.*} * 1000000 + 1${seconds#*.} - 1000000) / 1000))
failed=0
if [ "$status" != "$EXPECT_STATUS" ]; then
    printf '%s\n' "$URL answered with status $status, expected $EXPECT_STATUS" >&2
    failed=1
fi
case $body in
    *"${EXPECT_TEXT-}"*) ;;
    *)
        printf '%s\n' "$URL answered without the text '$EXPECT_TEXT'" >&2
        failed=1
        ;;
esac
if [ "$milliseconds" -gt "${MAX_LATENCY_MS-$milliseconds}" ]; then
    printf '%s\n' "$URL took $milliseconds ms, allowed are $MAX_LATENCY_MS ms" >&2
    failed=1
fi
printf '%s\n' "$URL answered with status $status in $milliseconds ms"
exit "$failed"
