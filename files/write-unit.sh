#!/bin/sh
# write-unit.sh write|compare UNIT FILE PROGRAM…: FILE is what PROGRAM… writes as UNIT into a directory.
set -eu
what=$1 unit=$2 file=$3
shift 3
made=$(mktemp -d)
trap 'rm -rf -- "$made"' EXIT
"$@" "$made" >/dev/null
case $what in
compare) cmp -s -- "$made/$unit" "$file" ;;
write)
  install -m 0644 -- "$made/$unit" "$file.new"
  sync -- "$file.new"
  mv -f -- "$file.new" "$file"
  ;;
esac
