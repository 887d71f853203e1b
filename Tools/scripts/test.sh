#!/usr/bin/env bash
# The README's test command: one build configuration (debug), every unit, property, fuzz and simulation test, then the black-box pass.
set -uo pipefail
cd "$(dirname "$0")/../.."
out=$(mktemp -d)
trap 'rm -rf "$out"' EXIT
failed=0

echo "== build (debug, tests included)"
swift build --build-tests >"$out/build.log" 2>&1 || { grep -E 'error' "$out/build.log" | head -n 40; tail -n 20 "$out/build.log"; exit 1; }

echo "== unit, property, fuzz and simulation tests (ROADSTEAD_SEEDS=${ROADSTEAD_SEEDS:-500})"
swift test --skip-build >"$out/unit.log" 2>&1 || failed=1
grep -E "error:|failed|skipped" "$out/unit.log" | grep -vE "^Test (Case|Suite).*passed" | head -n 60
grep -E "Executed [0-9]+ tests" "$out/unit.log" | tail -n 1

echo "== black-box tests with the real clients"
.venv/bin/python -m pytest compat -q --durations=0 -p no:cacheprovider --binary .build/debug/roadstead >"$out/compat.log" 2>&1 || failed=1
grep -vE "^[0-9.]+s (call|setup|teardown)|^=+ slowest" "$out/compat.log" | tail -n 60

echo "== ten slowest"
.venv/bin/python Tools/scripts/slowest.py "$out/unit.log" "$out/compat.log" || failed=1
exit $failed
