#!/bin/sh
# pam-asks.sh [tell]: whether PAM asks sssd who may log in by ssh; `tell` says that it does not.
grep -q '^account.*pam_sss\.so' /etc/pam.d/common-account && grep -q '^@include common-account' /etc/pam.d/sshd && exit
[ "${1-}" != tell ] || echo "PAM does not ask sssd who may log in: no pam_sss.so in /etc/pam.d/common-account, or sshd" \
  "does not include that; run pam-auth-update (--force, if the file was changed by hand)" >&2
exit 1
