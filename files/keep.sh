#!/bin/sh
# keep.sh FILE COPY: keeps FILE as it is; the copy is whole or not there.
set -eu
mkdir -p -- "${2%/*}"
cp -p -- "$1" "$2.new"
sync -- "$2.new"
mv -f -- "$2.new" "$2"
