#!/bin/sh
# The inventory at URL must list no node that is down.
down=$(curl -sSf --max-time 10 "$URL" | jq -r '.nodes[] | select(.up | not) | .name') || exit 1
for node in $down; do
    echo "node $node is down" >&2
done
[ -z "$down" ]
