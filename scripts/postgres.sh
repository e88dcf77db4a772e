#!/bin/sh
# postgres.sh - does a PostgreSQL database answer a query, and as it should?
#
#   PGHOST      the server, a name or an address      (required)
#   PGPORT      its port                              (default: 5432)
#   PGUSER      the user                              (default: postgres)
#   PGPASSWORD  the password                          (default: none)
#   PGDATABASE  the database                          (default: the user's name)
#   QUERY       what is asked, in SQL                 (default: SELECT 1)
#   EXPECT      the answer, fields separated by |     (default: any, but not an empty one)
#   TIMEOUT     whole seconds to connect and to wait, at least 2  (default: 10)
#
# Needs psql. What else libpq reads, such as PGSSLMODE and PGSSLROOTCERT, it gets too.
# Ends with 1 where the answer is not as it should be or there is none, with 2 for a wrong value.
#
# Example: khshim manifest postgres.sh --in postgres:17 --user 65532 --interval 5m --timeout 1m --env-from secret/postgres
set -u
export LC_ALL=C # where [0-9] matches ten characters

fail() {
    printf '%s\n' "$2" >&2
    exit "$1"
}

[ $# -eq 0 ] || fail 2 "'$1' is an argument: expected none, but PGHOST to be set"
a_host="expected a host name or an address, without scheme, port and brackets"
[ "${PGHOST+set}" ] || fail 2 "PGHOST is not set: $a_host"
case $PGHOST in
    '' | *[!A-Za-z0-9.:%_-]* | -* | .* | *..*) fail 2 "PGHOST is '$PGHOST': $a_host" ;;
    *:*:*) ;;
    *:*) fail 2 "PGHOST is '$PGHOST': $a_host" ;;
    *[!0-9]*) ;;
    *) fail 2 "PGHOST is '$PGHOST': $a_host" ;;
esac
PGPORT=${PGPORT-5432}
case $PGPORT in
    '' | 0* | *[!0-9]* | ??????*) port=0 ;;
    *) port=$PGPORT ;;
esac
[ "$port" -ge 1 ] && [ "$port" -le 65535 ] ||
    fail 2 "PGPORT is '$PGPORT': expected a whole number from 1 to 65535"
PGUSER=${PGUSER-postgres}
[ "$PGUSER" ] || fail 2 "PGUSER is '': expected a user's name, or the variable not to be set"
[ "${PGPASSWORD-unset}" ] || fail 2 "PGPASSWORD is '': expected a password, or the variable not to be set"
PGDATABASE=${PGDATABASE-$PGUSER}
[ "$PGDATABASE" ] || fail 2 "PGDATABASE is '': expected a database's name, or the variable not to be set"
QUERY=${QUERY-SELECT 1}
case $QUERY in
    *[![:space:]]*) ;;
    *) fail 2 "QUERY is '$QUERY': expected a query, or the variable not to be set" ;;
esac
[ "${EXPECT-unset}" ] || fail 2 "EXPECT is '': expected an answer, or the variable not to be set"
TIMEOUT=${TIMEOUT-10}
case $TIMEOUT in # to libpq 1 means 2
    '' | 0* | 1 | *[!0-9]* | ?????*) fail 2 "TIMEOUT is '$TIMEOUT': expected a whole number from 2 to 9999" ;;
esac
server="The database $PGDATABASE at $PGHOST port $PGPORT"
command -v psql >/dev/null || fail 1 "psql is missing, so $PGHOST could not be asked: khshim manifest --in postgres:17"

export PGHOST PGPORT PGUSER PGDATABASE PGCONNECT_TIMEOUT="$TIMEOUT"
# -X reads no file of the user's, -w never asks for a password, -At prints nothing but values.
answer=$(psql -XAtqw -v ON_ERROR_STOP=1 -c "SET statement_timeout = '${TIMEOUT}s'" -c "$QUERY") ||
    fail 1 "$server did not answer the query"
[ "$answer" ] || fail 1 "$server answered the query with nothing"
[ "$answer" = "${EXPECT-$answer}" ] || fail 1 "$server answered '$answer', expected '$EXPECT'"
printf '%s\n' "$server answered the query${EXPECT+ as expected}"
