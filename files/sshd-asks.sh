#!/bin/sh
# sshd-asks.sh KEYS [tell]: whether sshd asks PAM, and the program KEYS for keys; `tell` says what it does instead.
said=$(/usr/sbin/sshd -T 2>&1)
printf '%s\n' "$said" | grep -qix 'usepam yes' && printf '%s\n' "$said" | grep -qxF "authorizedkeyscommand $1 %u" && exit
[ "${2-}" != tell ] || {
  echo "sshd does not ask LDAP for keys: /etc/ssh/sshd_config or a file of sshd_config.d says otherwise, or does not" \
    "include /etc/ssh/sshd_config.d/*.conf at its top:" >&2
  printf '%s\n' "$said" | grep -i '^usepam\|^authorizedkeyscommand \|error\|bad ' >&2
}
exit 1
