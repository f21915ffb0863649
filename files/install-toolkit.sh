#!/bin/sh
# install-toolkit.sh DIRECTORY PYTHON SOURCE LOCK [compare]: SOURCE is installed in the virtual environment DIRECTORY.
#
# What it needs comes as LOCK says: a file of requirements, each one release with
# its hashes. pip fetches nothing else, neither to run nor to build. With LOCK
# `none` the index decides, within the bounds of SOURCE.
#
# While pip replaces a program, the program is away, and with `enc` every catalog.
# So nothing is done in the environment that is in use: DIRECTORY is a link to
# DIRECTORY.a or DIRECTORY.b. The other one becomes a copy of it, is brought up to
# date, and then the link is switched by one rename. What was in use before stays
# until the next time, as the way back (ln -sfn DIRECTORY.a DIRECTORY). Programs
# name their Python by way of the link, so what is written down of it stays true.
#
# A kill leaves what is in use as it is, and the other one with `.installing` in
# it: what pip finds there may look whole to it and not be, so everything is
# written anew.
set -eu
directory=$1 python=$2 source=$3 lock=$4
wanted=$source
if [ "$lock" != none ]; then
  hash=$(sha256sum <"$lock")
  wanted="$source with ${hash%% *}"
fi
if [ "${5-}" = compare ]; then
  # An earlier version installed in place, and left this mark in the middle of it.
  [ ! -e "$directory/.installing" ] && [ "$(cat "$directory/.source" 2>/dev/null)" = "$wanted" ]
  exit
fi
next=$directory.a
[ "$(readlink -- "$directory" || :)" != "$next" ] || next=$directory.b
open=$next/.installing
pip() {
  "$next/bin/python3" -m pip "$@" --disable-pip-version-check
}
if [ -e "$open" ] && pip --version >/dev/null 2>&1; then
  # By these pip knows what it has; its own stays.
  find "$next/lib" -path '*/site-packages/*.dist-info' ! -name 'pip-*' -prune -exec rm -rf -- {} + || :
else
  rm -rf -- "${next:?}"
  mkdir -p -- "$next"
  : >"$open"
  sync -- "$open"
  if [ ! -e "$directory/.installing" ] && "$directory/bin/python3" -m pip --version >/dev/null 2>&1; then
    cp -a -- "$directory/." "$next/"
  else
    "$python" -m venv "$next"
  fi
fi
if [ "$lock" = none ]; then
  pip install --quiet --no-input --upgrade "$source"
else
  pip install --quiet --no-input --upgrade --require-hashes -r "$lock"
  pip install --quiet --no-input --upgrade --no-deps --no-build-isolation --force-reinstall "$source"
  # Whether SOURCE can do with these releases.
  pip check
fi
for program in "$next"/bin/*; do
  # In the first line, or where that would be too long, in the second.
  if [ -f "$program" ] && [ ! -L "$program" ]; then
    sed -i "1,2s,$next/bin/python,$directory/bin/python,g" "$program"
  fi
done
printf %s "$wanted" >"$next/.source"
rm -f -- "$open"
sync -f -- "$next/.source"
ln -sfn -- "$next" "$directory.new"
if [ -d "$directory" ] && [ ! -L "$directory" ]; then
  # From an earlier version, or by hand. A directory cannot be replaced by a link, but the two can be exchanged.
  before=$directory.b
  rm -rf -- "${before:?}"
  "$python" -c 'import ctypes, os, sys
libc = ctypes.CDLL(None, use_errno=True)
here = -100  # AT_FDCWD; 2 is RENAME_EXCHANGE, rename(2)
if libc.renameat2(here, os.fsencode(sys.argv[1]), here, os.fsencode(sys.argv[2]), 2):
    sys.exit(os.strerror(ctypes.get_errno()))' "$directory.new" "$directory" || {
    mv -T -- "$directory" "$before"
    mv -T -- "$directory.new" "$directory"
  }
  [ ! -e "$directory.new" ] || mv -T -- "$directory.new" "$before"
else
  mv -fT -- "$directory.new" "$directory"
fi
