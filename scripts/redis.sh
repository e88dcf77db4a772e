#!/bin/sh
# redis.sh - does a Redis server answer, and has it the right role?
#
#   HOST      the server, a name or an address             (required)
#   PORT      its port                                     (default: 6379)
#   USERNAME  the user                                     (default: the server's default user)
#   PASSWORD  the password                                 (default: none)
#   TLS       true: by TLS                                 (default: false)
#   ROLE      master, or replica with a link to its master (default: any)
#
# Needs redis-cli. The limit is the check's own: khshim ends a client that hangs.
# Ends with 1 where the answer is not as it should be or there is none, with 2 for a wrong value.
#
# Example: khshim manifest redis.sh --in redis:8 --user 65532 --interval 1m --timeout 30s --env HOST=redis.shop.svc --secret-env PASSWORD=redis/password
set -u
export LC_ALL=C # where [0-9] matches ten characters

fail() {
    printf '%s\n' "$2" >&2
    exit "$1"
}

[ $# -eq 0 ] || fail 2 "'$1' is an argument: expected none, but HOST to be set"
a_host="expected a host name or an address, without scheme, port and brackets"
[ "${HOST+set}" ] || fail 2 "HOST is not set: $a_host"
case $HOST in
    '' | *[!A-Za-z0-9.:%_-]* | -* | .* | *..*) fail 2 "HOST is '$HOST': $a_host" ;;
    *:*:*) ;;
    *:*) fail 2 "HOST is '$HOST': $a_host" ;;
    *[!0-9]*) ;;
    *) fail 2 "HOST is '$HOST': $a_host" ;;
esac
PORT=${PORT-6379}
case $PORT in
    '' | 0* | *[!0-9]* | ??????*) port=0 ;;
    *) port=$PORT ;;
esac
[ "$port" -ge 1 ] && [ "$port" -le 65535 ] ||
    fail 2 "PORT is '$PORT': expected a whole number from 1 to 65535"
[ "${USERNAME-unset}" ] || fail 2 "USERNAME is '': expected a user's name, or the variable not to be set"
[ "${PASSWORD-unset}" ] || fail 2 "PASSWORD is '': expected a password, or the variable not to be set"
TLS=${TLS-false}
case $TLS in
    true | false) ;;
    *) fail 2 "TLS is '$TLS': expected true or false" ;;
esac
ROLE=${ROLE-any}
case $ROLE in
    any | master | replica) ;;
    *) fail 2 "ROLE is '$ROLE': expected any, master or replica" ;;
esac
server="The server $HOST port $PORT"
command -v redis-cli >/dev/null || fail 1 "redis-cli is missing, so $HOST could not be asked: khshim manifest --in redis:8"

# In a variable, so that no list of processes shows it.
[ -z "${PASSWORD+set}" ] || export REDISCLI_AUTH="$PASSWORD"
[ "$TLS" = false ] || set -- --tls
ask() {
    # An error is an answer to redis-cli, with exit status 0.
    redis-cli -h "$HOST" -p "$PORT" ${USERNAME+--user "$USERNAME"} "$@"
}
answer=$(ask "$@" PING) || fail 1 "$server did not answer"
[ "$answer" = PONG ] || fail 1 "$server answered '$answer', expected PONG"
if [ "$ROLE" != any ]; then
    # A replica's: slave, host and port of its master, the link's state, an offset, each on a line.
    answer=$(ask "$@" ROLE) || fail 1 "$server did not tell its role"
    case $answer in
        master*) role=master ;;
        slave*connected*) role=replica ;;
        slave*) role="replica without a link to its master" ;;
        *) fail 1 "$server answered '$answer', expected its role" ;;
    esac
    [ "$role" = "$ROLE" ] || fail 1 "$server is a $role, expected is a $ROLE"
fi
printf '%s\n' "$server answers${role+, and is a $role}"
