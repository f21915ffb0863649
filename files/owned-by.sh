#!/bin/sh
# owned-by.sh REPOSITORY OWNER GROUP [change]: whether all of REPOSITORY is OWNER's. HEAD is given last, so it tells.
#
# Root walks here through what an account may change meanwhile. chown -RhP goes by descriptors of directories and
# follows no link (fts(3), FTS_PHYSICAL), so nothing outside can come into its way; names in REPOSITORY itself, which
# stands in a directory of root's, are changed as they are, be they links.
set -eu
if [ "${4-}" = change ]; then
  find "$1" -mindepth 1 -maxdepth 1 ! -name HEAD -exec chown -RhP -- "$2:$3" {} +
  chown -h -- "$2:$3" "$1" "$1/HEAD"
else
  [ "$(stat -c %U -- "$1/HEAD")" = "$2" ]
fi
