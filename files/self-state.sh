#!/bin/sh
# self-state.sh PROGRAM STATE: whether this instance is in STATE, as `puppetmaster-self status` says.
"$1" status --json | grep -Eq "\"state\": *\"$2\""
