#!/bin/sh
# move-authority.sh FROM TO OWNER SERVICE: the authority's directory FROM is TO and OWNER's, whole or not there. SERVICE
# is stopped before, so that nothing is signed meanwhile. Killed anywhere, the next call goes on.
set -eu
from=$1 to=$2 owner=$3
systemctl stop "$4"
if [ ! -e "$to" ]; then
  rm -rf -- "$to.new"
  mkdir -p -- "${to%/*}"
  cp -a -- "$from" "$to.new"
  chown -R -h -- "$owner:$owner" "$to.new"
  sync -f -- "$to.new"
  mv -T -- "$to.new" "$to"
  sync -f -- "$to"
fi
cmp -s -- "$from/ca_key.pem" "$to/ca_key.pem" || {
  echo "there is an authority in $from and another in $to; move away the one whose certificates nobody uses" >&2
  exit 1
}
# The key last: it tells that there is something left to do.
find "$from" -mindepth 1 ! -name ca_key.pem -delete
rm -f -- "$from/ca_key.pem"
rmdir -- "$from"
