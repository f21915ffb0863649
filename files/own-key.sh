#!/bin/sh
# own-key.sh PUPPET COPY: COPY is the key that the agent has now; whole or not there, with its mode and owner.
set -eu
umask 077
key=$("$1" config print --section agent hostprivkey)
mkdir -p -- "${2%/*}"
cp -p -- "$key" "$2.new"
sync -- "$2.new"
mv -f -- "$2.new" "$2"
