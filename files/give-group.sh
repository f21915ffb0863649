#!/bin/sh
# give-group.sh FILE FROM TO [change]: whether FILE, if it is a file, is not in the group FROM any more; TO has it then.
set -eu
[ -f "$1" ] && [ ! -L "$1" ] || exit 0
if [ "${4-}" = change ]; then
  chgrp -h -- "$3" "$1"
else
  [ "$(stat -c %G -- "$1")" != "$2" ]
fi
