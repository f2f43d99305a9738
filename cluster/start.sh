#!/usr/bin/env bash
# Starts a small Ray cluster by hand over ssh, without a cluster launcher:
#
#   RAYNAS_HOME=/shared/raynas-runs ./start.sh start node1 node2
#   RAYNAS_HOME=/shared/raynas-runs ./start.sh stop  node1 node2
#
# This machine becomes the head; the named ones join it. Every machine needs the same Python environment at the same
# path (RAYNAS_BIN, default: the folder of the `ray` command found here), and $RAYNAS_HOME on a file system that all of
# them share. Ray trusts whoever reaches its ports: keep them inside a private network (see README.md).
set -euo pipefail

usage() {
  sed -n '2,/^set /{/^set /d;s/^# \{0,1\}//p;}' "$0" >&2
  exit 2
}

command=${1:-}
[ -n "$command" ] || usage
shift
: "${RAYNAS_HOME:?set it to a folder that every machine of the cluster shares}"
bin=${RAYNAS_BIN:-$(dirname "$(command -v ray)")}
port=${RAY_PORT:-6379}

# A marker file, seen from both sides, tells a shared folder from two folders of the same name.
check_shared() {
  local marker
  marker=$(mktemp "$RAYNAS_HOME/.shared-XXXXXX")
  for node in "$@"; do
    ssh "$node" test -e "$(printf '%q' "$marker")" || {
      rm -f "$marker"
      echo "error: $node does not see $RAYNAS_HOME of this machine; put it on a shared file system" >&2
      exit 2
    }
  done
  rm -f "$marker"
}

case $command in
  start)
    mkdir -p "$RAYNAS_HOME"
    check_shared "$@"
    head_address=${RAY_HEAD_ADDRESS:-$(hostname -I | cut -d' ' -f1)}
    "$bin/ray" start --head --node-ip-address "$head_address" --port "$port" --disable-usage-stats
    for node in "$@"; do
      ssh "$node" "RAYNAS_HOME=$(printf '%q' "$RAYNAS_HOME")" "$(printf '%q' "$bin/ray")" start \
        --address "$head_address:$port" --disable-usage-stats
    done
    echo
    echo "search on it from this machine:"
    echo "  RAYNAS_HOME=$RAYNAS_HOME raynas search resnet --address $head_address:$port"
    ;;
  stop)
    # 'ray stop' ends every Ray process of this user on the machine, other clusters' too.
    for node in "$@"; do
      ssh "$node" "$(printf '%q' "$bin/ray")" stop
    done
    "$bin/ray" stop
    ;;
  *)
    usage
    ;;
esac
