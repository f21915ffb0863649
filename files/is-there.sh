#!/bin/sh
# is-there.sh PATH: whether there is something, be it a link that leads nowhere.
[ -e "$1" ] || [ -L "$1" ]
