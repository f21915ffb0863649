#!/bin/sh
# in-group.sh USER GROUP: whether USER is a member of GROUP.
set -eu
id -nG -- "$1" | tr ' ' '\n' | grep -qxF -- "$2"
