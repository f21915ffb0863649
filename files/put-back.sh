#!/bin/sh
# put-back.sh FILE COPY: FILE as keep.sh found it. Without its directory, its package is gone, and so may FILE be.
set -eu
if [ -d "${1%/*}" ]; then
  cp -p -- "$2" "$1.new"
  sync -- "$1.new"
  mv -f -- "$1.new" "$1"
fi
rm -f -- "$2"
