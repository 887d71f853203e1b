#!/usr/bin/env bash
# The long runs. Usage: soak.sh [PART…] [--rounds N] [--seeds N] [--no-write]; all parts when none is named (see compat/soak.py --help).
# ROADSTEAD_BINARY names a built binary; without it the release build is made.
set -euo pipefail
cd "$(dirname "$0")/../.."
binary=${ROADSTEAD_BINARY:-}
if [ -z "$binary" ]; then
  Tools/scripts/build-quietly.sh release
  binary=.build/release/roadstead
fi
exec .venv/bin/python compat/soak.py --binary "$binary" "$@"
