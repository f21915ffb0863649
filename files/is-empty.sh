#!/bin/sh
# is-empty.sh DIRECTORY: whether it can be removed without a loss.
[ -d "$1" ] && [ ! -L "$1" ] && [ -z "$(ls -A -- "$1")" ]
