#!/bin/sh
# owned-by.sh REPOSITORY OWNER GROUP [change]: whether all of REPOSITORY is OWNER's. HEAD is given last, so it tells.
set -eu
if [ "${4-}" = change ]; then
  find "$1" ! -path "$1/HEAD" -exec chown -h -- "$2:$3" {} +
  chown -h -- "$2:$3" "$1/HEAD"
else
  [ "$(stat -c %U -- "$1/HEAD")" = "$2" ]
fi
