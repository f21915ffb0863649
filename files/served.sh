#!/bin/sh
# served.sh PUPPET RUBY WATCH SERVER PORT CERTNAME: whether SERVER serves this machine's agent (text of client-watch.rb).
set -eu
ssldir=$("$1" config print --section agent ssldir)
printf 'server: "%s"\nport: %s\ncertname: "%s"\nssldir: "%s"\n' "$4" "$5" "$6" "$ssldir" |
    "$2" -e "$3" /dev/stdin serves
