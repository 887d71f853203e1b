#!/bin/bash
echo "$LIFECYCLE_EVENT of $DEPLOYMENT_ID" >> /var/log/lab-hooks.log
for _ in $(seq 50); do
  if curl -fsS http://127.0.0.1/index.html; then exit 0; fi
  sleep 0.1
done
echo "the web server does not answer" >&2
exit 1
