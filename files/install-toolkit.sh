#!/bin/sh
# install-toolkit.sh DIRECTORY SOURCE [compare]: SOURCE is installed in the virtual environment DIRECTORY.
set -eu
if [ "${3-}" = compare ]; then
  [ "$(cat "$1/.source" 2>/dev/null)" = "$2" ]
  exit
fi
"$1/bin/pip" install --quiet --disable-pip-version-check --no-input --upgrade "$2"
printf %s "$2" >"$1/.source"
