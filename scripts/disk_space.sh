#!/bin/sh
# disk_space.sh - is there enough room on a file system?
#
#   DISK_PATH         an absolute path on the file system to look at    (default: /)
#   MIN_FREE_PERCENT  how much of it must be free, 0 to 100 percent     (default: 5)
#
# Needs df. Ends with 1 where there is too little room or it cannot be seen, with 2 for a wrong value.
#
# Example: khshim manifest disk_space.sh --interval 10m --timeout 1m --env MIN_FREE_PERCENT=10
set -u
export LC_ALL=C # where [0-9] matches ten characters

fail() {
    printf '%s\n' "$2" >&2
    exit "$1"
}

path=${DISK_PATH-/}
wanted=${MIN_FREE_PERCENT-5}
[ $# -eq 0 ] || fail 2 "'$1' is an argument: expected none, but DISK_PATH to be set"
case $path in
    /*) ;;
    *) fail 2 "DISK_PATH is '$path': expected an absolute path, such as /data" ;;
esac
case $wanted in
    [0-9] | [1-9][0-9] | 100) ;;
    *) fail 2 "MIN_FREE_PERCENT is '$wanted': expected a whole number from 0 to 100" ;;
esac
command -v df >/dev/null || fail 1 "df is missing, so $path cannot be looked at"

# POSIX, df -P: a header, then device, blocks, used, available, "42%", mount point ("-" if unknown).
# The first and the last may hold blanks. Without blocks, as in /proc, the percentage is "-".
answer=$(df -P -- "$path") || fail 1 "$path cannot be looked at"
used=
case $answer in
    *"% "[/-]*) used=${answer%%"% "[/-]*} used=${used##*[[:space:]]} ;;
esac
case $used in
    [0-9] | [1-9][0-9] | [1-9][0-9][0-9]) ;;
    *) fail 1 "$path is on no file system that has a size" ;;
esac
free=$((100 - used))

printf '%s\n' "$path has $free % free, needed are $wanted %"
[ "$free" -ge "$wanted" ] || fail 1 "$path has only $free % free, needed are $wanted %"
