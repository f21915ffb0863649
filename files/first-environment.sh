#!/bin/sh
# first-environment.sh ENVIRONMENTS REPOSITORY BRANCH: whether Puppet's own empty production is in the way of the branch's.
set -eu
[ -d "$1/production" ] && [ ! -L "$1/production" ]
[ -z "$(find "$1/production" ! -type d -print -quit)" ]
runuser -u git -- git --git-dir="$2" rev-parse --quiet --verify "refs/heads/$3" >/dev/null
