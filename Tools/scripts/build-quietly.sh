#!/usr/bin/env bash
# Builds the binary with one line of progress; the compiler's own words only when it fails. Usage: build-quietly.sh debug|release
set -euo pipefail
cd "$(dirname "$0")/../.."
log=$(mktemp)
trap 'rm -f "$log"' EXIT
echo "building roadstead ($1); the first build of the dependencies takes some minutes"
swift build -c "$1" --product roadstead >"$log" 2>&1 &
build=$!
while kill -0 "$build" 2>/dev/null; do
  if [ -t 1 ]; then printf '\r\033[K  %s' "$(grep -oE '^\[[0-9]+/[0-9]+\][^|]{0,60}' "$log" | tail -n 1)"; fi
  sleep 1
done
[ -t 1 ] && printf '\r\033[K'
wait "$build" || { grep -E 'error|warning: unre' "$log" | head -n 40 >&2; tail -n 20 "$log" >&2; exit 1; }
