#!/bin/bash
mkdir -p /srv/web
echo "$LIFECYCLE_EVENT of $DEPLOYMENT_ID" >> /var/log/lab-hooks.log
