#!/bin/bash
# A daemon closes what it inherits, or the agent would wait for it.
echo "$LIFECYCLE_EVENT of $DEPLOYMENT_ID" >> /var/log/lab-hooks.log
setsid python3 /srv/web/server.py >/var/log/web.log 2>&1 </dev/null &
echo $! > /run/web.pid
