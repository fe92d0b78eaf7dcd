#!/bin/sh
# Moves finished files of the prediction log (*.jsonl; the one being written is *.jsonl.part) from LOCKSTEP_LOG to
# DESTINATION every EVERY seconds, and deletes the oldest beyond KEEP_MB: a full folder would end the pod.
set -u

ship() {
  [ -n "${DESTINATION:-}" ] || return 0
  # No file is ever overwritten, and one that was moved half is moved again. Configuration comes from RCLONE_CONFIG_*.
  rclone --config "" move "$LOCKSTEP_LOG" "$DESTINATION" \
    --include "*.jsonl" --immutable --transfers 2 --buffer-size 0 --contimeout 5s --timeout 10s \
    --retries 1 --low-level-retries 2 --max-duration 60s --cutoff-mode soft ||
    echo "not shipped to $DESTINATION; trying again in $EVERY s" >&2
}

make_room() {
  # Names begin with the time, so the shell lists the oldest first.
  for file in "$LOCKSTEP_LOG"/predictions-*.jsonl; do
    [ -f "$file" ] || return 0
    set -- $(du -sk "$LOCKSTEP_LOG")
    [ "$1" -gt $((KEEP_MB * 1024)) ] || return 0
    rm -f "$file" && echo "deleted ${file##*/}: more than $KEEP_MB MB waited" >&2
  done
}

last() {
  ship
  exit 0
}

trap last TERM INT
while :; do
  ship
  make_room
  sleep "$EVERY" &
  wait $!
done
