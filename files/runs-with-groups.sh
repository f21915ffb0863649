#!/bin/sh
# runs-with-groups.sh USER SERVICE GROUP...: SERVICE, if it runs as USER, has each GROUP that USER is a member of. A
# process keeps the groups of its start, so one that joined a group after that needs to be started anew.
set -eu
user=$1 service=$2
shift 2
process=$(systemctl show --property=MainPID --value "$service" 2>/dev/null) || process=0
status=/proc/${process:-0}/status
[ -r "$status" ] && [ "$(stat -c %U -- "/proc/$process")" = "$user" ] || exit 0
has=$(sed -n 's/^Groups://p' "$status" | tr -s ' \t' '\n')
joined=$(id -nG -- "$user" | tr ' ' '\n')
for group; do
  echo "$joined" | grep -qxF -- "$group" || continue
  echo "$has" | grep -qxF -- "$(getent group "$group" | cut -d: -f3)" || exit 1
done
