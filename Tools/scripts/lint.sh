#!/usr/bin/env bash
# Formatting, stale generated code, shell syntax.
set -uo pipefail
cd "$(dirname "$0")/../.."
failed=0
sources=$(git ls-files 'Sources/*.swift' 'Tests/*.swift' Package.swift | grep -v /Generated/)
# shellcheck disable=SC2086
swift format lint --strict --configuration .swift-format $sources || failed=1
.venv/bin/python Tools/shapegen/shapegen.py --check || failed=1
for script in Tools/scripts/*.sh .ci/run; do bash -n "$script" || failed=1; done
.venv/bin/python -m compileall -q compat Tools >/dev/null || failed=1
[ $failed = 0 ] && echo "lint: clean"
exit $failed
