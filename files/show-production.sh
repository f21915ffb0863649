#!/bin/sh
# show-production.sh ENVIRONMENTS MANAGER: the branch's production in the place of an empty directory.
set -eu
find "$1/production" -depth -type d -empty -delete
"$2" deploy production
