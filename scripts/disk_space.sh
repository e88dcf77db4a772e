#!/bin/sh
# disk_space.sh - is there enough room on a file system?
#
#   DISK_PATH         a path on the file system to look at     (default: /)
#   MIN_FREE_PERCENT  how much of it must be free, in percent  (default: 5)
set -u

path=${DISK_PATH:-/}
wanted=${MIN_FREE_PERCENT:-5}

line=$(df -P -- "$path" | tail -n 1) || exit 1
# Device, blocks, used, available, "42%", mount point (POSIX, df -P).
# shellcheck disable=SC2086  # to be split into these fields
set -- $line
if [ $# -lt 6 ]; then
    echo "$path could not be looked at" >&2
    exit 1
fi
free=$((100 - ${5%\%}))

echo "$path has $free % free, needed are $wanted %"
if [ "$free" -lt "$wanted" ]; then
    echo "$path has only $free % free, needed are $wanted %" >&2
    exit 1
fi
