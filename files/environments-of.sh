#!/bin/sh
# environments-of.sh ENVIRONMENTS STORE [remove]: whether links in ENVIRONMENTS lead into STORE; removes them then.
set -eu
[ -d "$1" ] || exit 1
if [ "${3-}" = remove ]; then
  find "$1" -maxdepth 1 -lname "$2/*" -delete
else
  [ -n "$(find "$1" -maxdepth 1 -lname "$2/*" -print -quit)" ]
fi
