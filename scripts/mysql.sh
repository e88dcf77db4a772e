#!/bin/sh
# mysql.sh - does a MySQL or MariaDB database answer a query, and as it should?
#
#   HOST      the server, a name or an address         (required)
#   PORT      its port                                 (default: 3306)
#   USERNAME  the user                                 (default: root)
#   PASSWORD  the password                             (default: none)
#   DATABASE  the database                             (default: none)
#   QUERY     what is asked, in SQL                    (default: SELECT 1)
#   EXPECT    the answer, fields separated by a tab    (default: any, but not an empty one)
#   TIMEOUT   whole seconds to connect                 (default: 10)
#
# Needs mysql or mariadb, the client of either. What is in its option files holds too.
# Ends with 1 where the answer is not as it should be or there is none, with 2 for a wrong value.
#
# Example: khshim manifest mysql.sh --in mysql:8.4 --user 65532 --interval 5m --timeout 1m --env HOST=mysql.shop.svc --secret-env PASSWORD=mysql/password
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
PORT=${PORT-3306}
case $PORT in
    '' | 0* | *[!0-9]* | ??????*) port=0 ;;
    *) port=$PORT ;;
esac
[ "$port" -ge 1 ] && [ "$port" -le 65535 ] ||
    fail 2 "PORT is '$PORT': expected a whole number from 1 to 65535"
USERNAME=${USERNAME-root}
[ "$USERNAME" ] || fail 2 "USERNAME is '': expected a user's name, or the variable not to be set"
[ "${PASSWORD-unset}" ] || fail 2 "PASSWORD is '': expected a password, or the variable not to be set"
[ "${DATABASE-unset}" ] || fail 2 "DATABASE is '': expected a database's name, or the variable not to be set"
QUERY=${QUERY-SELECT 1}
case $QUERY in
    *[![:space:]]*) ;;
    *) fail 2 "QUERY is '$QUERY': expected a query, or the variable not to be set" ;;
esac
[ "${EXPECT-unset}" ] || fail 2 "EXPECT is '': expected an answer, or the variable not to be set"
TIMEOUT=${TIMEOUT-10}
case $TIMEOUT in
    '' | 0* | *[!0-9]* | ?????*) fail 2 "TIMEOUT is '$TIMEOUT': expected a whole number from 1 to 9999" ;;
esac
server="The database at $HOST port $PORT"
client=mysql
command -v mysql >/dev/null || client=mariadb # newer images of MariaDB have no other name for it
command -v "$client" >/dev/null ||
    fail 1 "mysql is missing, and mariadb too, so $HOST could not be asked: khshim manifest --in mysql:8.4"

# In a variable, so that no list of processes shows it. An empty one is not the same as none.
[ -z "${PASSWORD+set}" ] || export MYSQL_PWD="$PASSWORD"
# TCP, since to the client localhost is a socket's name.
answer=$("$client" --protocol=TCP --host="$HOST" --port="$PORT" --user="$USERNAME" \
    --connect-timeout="$TIMEOUT" --batch --skip-column-names --raw \
    ${DATABASE+"--database=$DATABASE"} --execute="$QUERY") ||
    fail 1 "$server did not answer the query"
[ "$answer" ] || fail 1 "$server answered the query with nothing"
[ "$answer" = "${EXPECT-$answer}" ] || fail 1 "$server answered '$answer', expected '$EXPECT'"
printf '%s\n' "$server answered the query${EXPECT+ as expected}"
