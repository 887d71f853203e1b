#!/bin/bash
# Stops the previous version, if one runs.
if [ -f /run/web.pid ]; then
  kill "$(cat /run/web.pid)" 2>/dev/null
  rm -f /run/web.pid
fi
exit 0
