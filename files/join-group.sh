#!/bin/sh
# join-group.sh USER GROUP SERVICE [change]: USER is a member of GROUP, and so is SERVICE, if it runs as USER.
#
# A process has the groups of its start, so SERVICE is started anew.
set -eu
if [ "${4-}" = change ]; then
  usermod -a -G "$2" -- "$1"
  # One that does not start again does not run any more, and has the group when it does.
  systemctl try-restart "$3" || :
  exit
fi
id -nG -- "$1" | tr ' ' '\n' | grep -qxF -- "$2"
process=$(systemctl show --property=MainPID --value "$3" 2>/dev/null) || process=0
status=/proc/${process:-0}/status
[ -r "$status" ] && [ "$(stat -c %U -- "/proc/$process")" = "$1" ] || exit 0
number=$(getent group "$2" | cut -d: -f3)
sed -n 's/^Groups://p' "$status" | tr -s ' \t' '\n' | grep -qxF -- "$number"
