#!/bin/sh
# install-toolkit.sh DIRECTORY PYTHON SOURCE LOCK [compare]: SOURCE is installed in the virtual environment DIRECTORY.
#
# What it needs comes as LOCK says: a file of requirements, each one release with
# its hashes. pip fetches nothing else, neither to run nor to build. With LOCK
# `none` the index decides, within the bounds of SOURCE.
#
# `.installing` says that this is under way, or was when it was killed: what pip
# finds then may look whole to it and not be, so everything is written anew.
set -eu
directory=$1 python=$2 source=$3 lock=$4
open=$directory/.installing
wanted=$source
if [ "$lock" != none ]; then
  hash=$(sha256sum <"$lock")
  wanted="$source with ${hash%% *}"
fi
if [ "${5-}" = compare ]; then
  [ ! -e "$open" ] && [ "$(cat "$directory/.source" 2>/dev/null)" = "$wanted" ]
  exit
fi
if [ -e "$open" ]; then
  # By these pip knows what it has; its own stays.
  find "$directory/lib" -path '*/site-packages/*.dist-info' ! -name 'pip-*' -prune -exec rm -rf -- {} + || :
fi
mkdir -p -- "$directory"
: >"$open"
sync -- "$open"
if ! "$directory/bin/pip" --version >/dev/null 2>&1; then
  rm -rf -- "${directory:?}/bin" "${directory:?}/lib"
  "$python" -m venv "$directory"
fi
install() {
  "$directory/bin/pip" install --quiet --disable-pip-version-check --no-input --upgrade "$@"
}
if [ "$lock" = none ]; then
  install "$source"
else
  install --require-hashes -r "$lock"
  install --no-deps --no-build-isolation --force-reinstall "$source"
  # Whether SOURCE can do with these releases.
  "$directory/bin/pip" check --disable-pip-version-check
fi
printf %s "$wanted" >"$directory/.source.new"
sync -- "$directory/.source.new"
mv -f -- "$directory/.source.new" "$directory/.source"
rm -f -- "$open"
