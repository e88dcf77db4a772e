#!/bin/sh
# nodes_check.sh - are all nodes of an inventory up?
#
#   URL  where it is: {"nodes": [{"name": "a", "up": true}, …]}  (required)
#
# Needs curl and jq.
set -u

fail() {
    printf '%s\n' "$2" >&2
    exit "$1"
}

[ $# -eq 0 ] || fail 2 "'$1' is an argument: expected none, but URL to be set"
an_address="expected an address such as http://inventory.shop.svc/"
[ "${URL+set}" ] || fail 2 "URL is not set: $an_address"
case $URL in
    *[[:space:]]*) fail 2 "URL is '$URL': $an_address" ;;
    http://[!/]* | https://[!/]*) ;;
    *) fail 2 "URL is '$URL': $an_address" ;;
esac
for tool in curl jq; do
    command -v "$tool" >/dev/null || fail 1 "$tool is missing, so $URL could not be looked at"
done

# Not one pipe: its status would be that of jq, which takes no answer for no node.
inventory=$(curl -sSfg --max-time 10 -- "$URL") || fail 1 "The inventory at $URL could not be fetched"
nodes=$(printf '%s\n' "$inventory" | jq -rs '
    def is_node: (.name | type) == "string" and (.up | type) == "boolean";
    if length == 1 and (.[0].nodes | type == "array" and length > 0 and all(is_node)) then
        [.[0].nodes[] | select(.up | not) | "node \(.name) is down"]
        | if . == [] then "all nodes are up" else .[] end
    else
        error("no list of nodes, each with a name and true or false for up")
    end') || nodes=
case $nodes in
    "all nodes are up") echo "$nodes" ;;
    "") fail 1 "The inventory at $URL is not as expected" ;;
    *) fail 1 "$nodes" ;;
esac
