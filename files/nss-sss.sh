#!/bin/sh
# nss-sss.sh FILE [change]: whether FILE (nsswitch.conf) asks sssd for accounts and groups, after the local files;
# makes it so.
set -eu
for database in passwd group; do
  grep -q "^$database:.*[[:space:]]sss\([[:space:]]\|\$\)" "$1" && continue
  [ "${2-}" = change ] || exit 1
  sed "s/^\($database:.*[^[:space:]]\)[[:space:]]*\$/\1 sss/" "$1" >"$1.new"
  chmod 644 "$1.new"
  sync -- "$1.new"
  mv -f -- "$1.new" "$1"
done
