#!/bin/sh
# install-toolkit.sh DIRECTORY PYTHON SOURCE [compare]: SOURCE is installed in the virtual environment DIRECTORY.
#
# `.installing` says that this is under way, or was when it was killed: what pip
# finds then may look whole to it and not be, so everything is written anew.
set -eu
open=$1/.installing
if [ "${4-}" = compare ]; then
  [ ! -e "$open" ] && [ "$(cat "$1/.source" 2>/dev/null)" = "$3" ]
  exit
fi
again=
[ ! -e "$open" ] || again=--ignore-installed
mkdir -p -- "$1"
: >"$open"
sync -- "$open"
if ! "$1/bin/pip" --version >/dev/null 2>&1; then
  rm -rf -- "${1:?}/bin" "${1:?}/lib"
  "$2" -m venv "$1"
fi
# shellcheck disable=SC2086 # no word, or one
"$1/bin/pip" install --quiet --disable-pip-version-check --no-input --upgrade $again "$3"
printf %s "$3" >"$1/.source.new"
sync -- "$1/.source.new"
mv -f -- "$1/.source.new" "$1/.source"
rm -f -- "$open"
