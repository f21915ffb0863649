#!/bin/sh
# compile-certificate.sh NAME CA-SERVER CA-PORT CA-CONF ALT-NAMES [make]: whether NAME's certificate on this machine fits
# its key and commands no authority (pp_cli_auth); with `make`, it gets such a one. The old one is revoked first. The
# new one is made aside; killed between the renames, key and certificate do not fit, and the next call begins anew.
set -eu
name=$1 server=$2 port=$3 conf=$4 alt=$5
setting() { puppet config print --section server "$1"; }
ssl=$(setting ssldir)
public() { openssl "$@" 2>/dev/null; }
fits() {
  public x509 -in "$1/certs/$name.pem" -noout && public pkey -in "$1/private_keys/$name.pem" -noout &&
    [ "$(public x509 -in "$1/certs/$name.pem" -noout -pubkey)" = "$(public pkey -in "$1/private_keys/$name.pem" -pubout)" ] &&
    ! openssl x509 -in "$1/certs/$name.pem" -noout -text | grep -q -e '1\.3\.6\.1\.4\.1\.34380\.1\.3\.39'
}
if [ "${6-}" != make ]; then
  fits "$ssl"
  exit
fi
new=$ssl/compile-certificate.new
rm -rf -- "$new"
# What is not there need not be revoked.
puppetserver ca clean --config "$conf" --certname "$name" >/dev/null 2>&1 || :
if puppetserver ca list --config "$conf" --certname "$name" >/dev/null 2>&1; then
  puppetserver ca list --config "$conf" --certname "$name" >&2
  echo "the authority still has a certificate or request of that name" >&2
  exit 1
fi
ask() {
  puppet ssl "$@" --ssldir "$new" --certname "$name" --ca_server "$server" --ca_port "$port" \
    --server "$server" --serverport "$port" --http_keepalive_timeout 0 --dns_alt_names "$alt" --color false
}
# Nothing is trusted on first use.
mkdir -p -- "$new/certs"
cp -- "$(puppet config print --config "$conf" --section server cacert)" "$new/certs/ca.pem"
ask submit_request
# A policy or `autosign => true` may have signed it already.
puppetserver ca sign --config "$conf" --certname "$name" || :
ask download_cert
fits "$new" || {
  echo "the authority gave $name no certificate that matches its key" >&2
  exit 1
}
mkdir -p -- "$ssl/certs" "$ssl/private_keys"
# Not every Puppet keeps the public key.
rm -f -- "$ssl/public_keys/$name.pem"
for path in "certs/ca.pem" crl.pem "private_keys/$name.pem" "certs/$name.pem"; do
  sync -- "$new/$path"
  mv -f -- "$new/$path" "$ssl/$path"
done
rm -rf -- "$new"
