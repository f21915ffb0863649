#!/bin/sh
# own-production.sh PRODUCTION [make]: whether git may replace what is there, or it is somebody's; with `make`, it may.
#
# As root: Puppet, run while there is none, makes an empty one that only its own account can look into. What has files in
# it is somebody's and stays. find removes by descriptors, and follows no link.
set -eu
if [ "${2-}" != make ]; then
  [ -L "$1" ] || [ "$(stat -c %U -- "$1" 2>/dev/null)" = git ] ||
    [ -n "$(find "$1" ! -type d -print -quit 2>/dev/null)" ]
  exit
fi
[ ! -d "$1" ] || find "$1" -depth -type d -empty -delete
runuser -u git -- mkdir -- "$1"
