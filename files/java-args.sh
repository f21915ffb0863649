#!/bin/sh
# java-args.sh FILE VALUE [change]: whether FILE, which a shell or systemd reads, sets JAVA_ARGS to VALUE and to nothing
# else; makes it so. Lines that were continued with a backslash go with the line that they continue.
set -eu
[ -f "$1" ] || { echo "$1 does not exist; set puppetmaster::defaults_file to the file where this packaging sets JAVA_ARGS" >&2; exit 1; }
wanted="JAVA_ARGS=\"$2\""
sets='^[ \t]*(export[ \t]+)?JAVA_ARGS='
if [ "${3-}" != change ]; then
  [ "$(SETS=$sets awk '$0 ~ ENVIRON["SETS"]' "$1")" = "$wanted" ]
  exit
fi
cp -p -- "$1" "$1.new"
SETS=$sets WANTED=$wanted awk '
  gone { gone = /\\$/; next }
  $0 ~ ENVIRON["SETS"] { gone = /\\$/; if (!said) { said = 1; print ENVIRON["WANTED"] }; next }
  { print }
  END { if (!said) print ENVIRON["WANTED"] }
' "$1" >"$1.new"
sync -- "$1.new"
mv -f -- "$1.new" "$1"
