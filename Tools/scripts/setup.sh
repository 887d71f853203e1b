#!/usr/bin/env bash
# Installs what a build and the tests need and this machine lacks. Quick when nothing is missing.
set -euo pipefail
cd "$(dirname "$0")/../.."

if ! command -v swift >/dev/null; then
  echo "Swift is missing. Install Swift 6.1 or later from https://www.swift.org/install/linux/ and put it on PATH, then run this again." >&2
  exit 1
fi

packages=(libsqlite3-dev libarchive-dev zlib1g-dev libacl1-dev libexpat1-dev acl curl unzip python3 python3-venv)
missing=()
for package in "${packages[@]}"; do
  [ "$(dpkg-query -W -f='${Status}' "$package" 2>/dev/null)" = "install ok installed" ] || missing+=("$package")
done
if [ ${#missing[@]} -gt 0 ]; then
  echo "installing ${missing[*]}"
  if [ "$(id -u)" = 0 ]; then as_root=(); elif command -v sudo >/dev/null; then as_root=(sudo); else
    echo "These packages are missing and need root: apt-get install ${missing[*]}" >&2
    exit 1
  fi
  log=$(mktemp)
  if ! { "${as_root[@]}" apt-get update -qq && DEBIAN_FRONTEND=noninteractive "${as_root[@]}" apt-get install -y -qq --no-install-recommends "${missing[@]}"; } >"$log" 2>&1; then
    tail -n 20 "$log" >&2
    exit 1
  fi
  rm -f "$log"
fi

# Pinned, so that a run today and one next year drive the same clients.
requirements=compat/requirements.txt
stamp=.venv/.installed
if [ ! -x .venv/bin/python ] || ! cmp -s "$requirements" "$stamp"; then
  echo "making the Python environment (.venv)"
  rm -rf .venv
  python3 -m venv .venv
  .venv/bin/pip install --quiet --disable-pip-version-check -r "$requirements"
  cp "$requirements" "$stamp"
fi
