#!/bin/sh
# local-names.sh FILE [write]: whether FILE tells sssd the names of all local accounts and groups, which it then never
# answers for; writes it.
set -eu
names() { getent -s files "$1" | cut -d: -f1 | sort -u | paste -sd, -; }
text="# Of the Puppet module puppetmaster (puppetmaster::access).
[nss]
filter_users = $(names passwd)
filter_groups = $(names group)"
if [ "${2-}" = write ]; then
  umask 077
  printf '%s\n' "$text" >"$1.new"
  sync -- "$1.new"
  mv -f -- "$1.new" "$1"
else
  [ "$(cat -- "$1" 2>/dev/null)" = "$text" ]
fi
