#!/bin/sh
# holds-nothing.sh STATE [remove]: whether below STATE nothing is kept any more; removes the empty directories then.
set -eu
[ -d "$1" ] || exit 1
if [ -d "$1/before" ] && [ -z "$(find "$1/before" ! -type d -print -quit)" ]; then
  [ "${2-}" = remove ] || exit 0
  rm -rf -- "$1/before"
fi
[ "${2-}" = remove ] || { [ -z "$(ls -A -- "$1")" ]; exit; }
rmdir --ignore-fail-on-non-empty -- "$1"
