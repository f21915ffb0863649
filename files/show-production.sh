#!/bin/sh
# show-production.sh ENVIRONMENTS MANAGER: the branch's production in the place of an empty directory, and all others.
#
# As root, for Puppet makes the directory for its own account only; find removes by descriptors, and follows no link.
set -eu
find "$1/production" -depth -type d -empty -delete
# puppetserver does not run yet and need not forget anything; what else is wrong, the branch manager tries again.
runuser -u git -- "$2" deploy || [ -L "$1/production" ]
