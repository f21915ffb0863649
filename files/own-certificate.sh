#!/bin/sh
# own-certificate.sh NAME DIRECTORY OWNER [change]: OWNER has a certificate NAME of this machine's authority.
#
# In DIRECTORY, which is root's: NAME.pem, NAME.key and the authority's ca.pem, which comes last. A certificate whose
# key was lost on the way is revoked.
set -eu
umask 077
name=$1 place=$2 owner=$3 mine=$2/$1
if [ "${4-}" != change ]; then
  for file in "$mine.key" "$mine.pem" "$place/ca.pem"; do
    [ -s "$file" ] && [ "$(stat -c %U -- "$file")" = "$owner" ] || exit 1
  done
  exit
fi
give() {
  install -m 0400 -o "$owner" -- "$1" "$2.new"
  sync -- "$2.new"
  mv -f -- "$2.new" "$2"
}
said=$(puppet config print --section server privatekeydir publickeydir certdir localcacert)
of() { printf '%s\n' "$said" | sed -n "s/^$1 = //p"; }
key=$(of privatekeydir)/$name.pem public=$(of publickeydir)/$name.pem certificate=$(of certdir)/$name.pem
if [ ! -s "$mine.key" ] || [ ! -s "$mine.pem" ]; then
  if [ ! -s "$key" ] || [ ! -s "$certificate" ]; then
    rm -f -- "$key" "$public" "$certificate"
    if ! puppetserver ca generate --certname "$name"; then
      rm -f -- "$key" "$public" "$certificate"
      puppetserver ca clean --certname "$name"
      puppetserver ca generate --certname "$name"
    fi
  fi
  give "$key" "$mine.key"
  give "$certificate" "$mine.pem"
fi
rm -f -- "$key" "$public" "$certificate"
give "$(of localcacert)" "$place/ca.pem"
