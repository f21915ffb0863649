#!/bin/sh
# access-before.sh note DIRECTORY PACKAGE...: keeps the files that these packages and Puppet change, and writes down which
# packages come with these that are not there yet; that list is there when all is kept.
# access-before.sh back DIRECTORY PACKAGE...: purges what came, and puts the files back; where something else needs some
# of what came by now, only these packages go.
set -eu
what=$1 kept=$2
shift 2
files='/etc/nsswitch.conf /etc/sssd/sssd.conf'
if [ "$what" = note ]; then
  for file in $files; do
    [ ! -e "$file" ] || cp -p -- "$file" "$kept/${file##*/}"
  done
  [ -z "$(getent -s files passwd sssd)" ] || : >"$kept/account"
  said=$(apt-get -s -o APT::Install-Recommends=false install "$@")
  # "Inst NAME [OLD] (NEW …": one with an old version is only renewed.
  printf '%s\n' "$said" | sed -n 's/^Inst \([^ ]*\) (.*/\1/p' >"$kept/packages.new"
  sync -- "$kept"/*
  mv -f -- "$kept/packages.new" "$kept/packages"
  exit
fi
# in_state GLOB PACKAGE...: those of these packages that came, and whose state dpkg abbreviates like that.
in_state() {
  like=$1
  shift
  for package; do
    grep -qxF -- "$package" "$kept/packages" || continue
    state=$(dpkg-query -W -f '${db:Status-Abbrev}' "$package" 2>/dev/null) || continue
    # shellcheck disable=SC2254
    case "$state" in $like) printf '%s ' "$package" ;; esac
  done
}
# Of which something is here.
there() { in_state '?[!n]*' "$@"; }
goes() { apt-get -s purge "$@" | sed -n 's/^\(Remv\|Purg\) \([^ ]*\).*/\2/p' | sort -u; }
# shellcheck disable=SC2046,SC2086
{
  all=$(there $(cat -- "$kept/packages"))
  [ -z "$all" ] || ! goes $all | grep -qvxF -f "$kept/packages" || all=$(there "$@")
  [ -z "$all" ] || apt-get -q -y -o Dpkg::Options::=--force-confdef purge $all
  # A purge that was killed leaves packages that are gone but for their configuration; nothing can need these.
  left=$(in_state '?c*' $(cat -- "$kept/packages"))
  [ -z "$left" ] || dpkg --purge $left
}
# The package's account, and sockets in its directory, which a purge leaves.
if [ -z "$(there sssd-common)" ] && grep -qx sssd-common "$kept/packages" && [ ! -x /usr/sbin/sssd ]; then
  rm -rf -- /var/lib/sss /var/log/sssd
  [ -e "$kept/account" ] || [ -z "$(getent -s files passwd sssd)" ] || userdel sssd
fi
for file in $files; do
  if [ -e "$kept/${file##*/}" ] && [ -d "${file%/*}" ]; then
    cp -p -- "$kept/${file##*/}" "$file.new"
    sync -- "$file.new"
    mv -f -- "$file.new" "$file"
  else
    rm -f -- "$file"
  fi
done
[ ! -e /etc/sssd/sssd.conf ] || systemctl restart sssd.service
