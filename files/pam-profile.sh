#!/bin/sh
# pam-profile.sh PROFILE MARK [enable|back]: whether PAM has one of its profiles (pam-auth-update); lets it have it, and
# notes in the file MARK that it had it not; lets it be as before.
set -eu
profile=$1 mark=$2
case "${3-}" in
  '') grep -qxF "Module: $profile" /var/lib/pam/session ;;
  enable)
    : >"$mark"
    sync -- "$mark"
    pam-auth-update --enable "$profile" </dev/null
    ;;
  back)
    pam-auth-update --disable "$profile" </dev/null
    rm -f -- "$mark"
    ;;
esac
