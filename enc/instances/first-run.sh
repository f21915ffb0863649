#!/bin/sh
# The first hour of an instance: install the agent, ask for the certificate, run once, say how it went.
#
# Owns: this directory, the log, and of puppet.conf the settings server, serverport, ca_server, certname.
# Not its business: which values are right (user_data.py), whether the master signs (docs/signing.md).
# Reads beside itself: values (NAME='…'), csr_attributes.yaml (with the token), ca.pem, repository.*
# Leaves beside itself: result, one line: `built SECONDS-SINCE-1970 took SECONDS` or `failed SECONDS-SINCE-1970 REASON`.
#
# May be run again, by hand, after a failure or a reset in the middle; once it is built, it does nothing.
# Every wait is bounded. Exit status: 0 built, 1 not, so that cloud-init's status tells.
set -u
umask 077
here=$(dirname -- "$(readlink -f -- "$0")")
PATH=/opt/puppetlabs/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
export PATH LC_ALL=C.UTF-8 DEBIAN_FRONTEND=noninteractive
log=/var/log/puppetmaster-first-run.log
# Seconds, by a clock that nobody sets: a machine's first minutes are those in which the other one is put right.
since_boot() {
    read -r uptime _ </proc/uptime && printf '%s\n' "${uptime%%.*}"
}
began=$(since_boot)
certificate=/nonexistent

# shellcheck disable=SC1091 # made by user_data.py
. "$here/values"

say() {
    printf '%s %s\n' "$(date -u +%Y-%m-%dT%H:%M:%SZ)" "$*" | tee -a -- "$log"
}

# The outcome, where people look: the result, the log, cloud-init's output, the machine's console.
conclude() {
    printf '%s\n' "$1" >"$here/result.new" && mv -f -- "$here/result.new" "$here/result"
    say "$1"
    { printf 'puppetmaster first run: %s: %s\n' "$CERTNAME" "$1" >/dev/console; } 2>/dev/null || :
}

fail() {
    release_agent
    conclude "failed $(date +%s) $*"
    exit 1
}

# The last error of a program that says why, as one harmless line; the log has all of them.
last_error() {
    tail -n 200 -- "$log" | grep -a -E '^(Error|E|Err|error|dpkg: error)[: ]' |
        grep -a -v -E 'skipping run|^E: (Sub-process|Unable to fetch some)|^Error: Facter' |
        tail -n 1 | tr -cd '[:print:]' | cut -c 1-1000
}

# again TRIES PAUSE COMMAND…: until it succeeds; its output goes to the log.
again() {
    tries=$1 pause=$2
    shift 2
    until "$@" >>"$log" 2>&1; do
        tries=$((tries - 1))
        [ "$tries" -gt 0 ] || return 1
        sleep "$pause"
    done
}

# A real systemd, or nothing: images for other uses of this script have none.
service() {
    [ ! -d /run/systemd/system ] || systemctl "$@" >>"$log" 2>&1 || :
}

# The package would start an agent that knows neither its name nor its master; an image may have started its own.
hold_agent() {
    service mask --runtime puppet.service
    service stop puppet.service
}

# An agent with a certificate goes on trying, also after a first run that failed; one without has nothing to do.
release_agent() {
    service unmask --runtime puppet.service
    if [ "$SERVICE" = yes ] && [ -s "$certificate" ]; then service enable --now puppet.service
    else service disable --now puppet.service
    fi
}

install_agent() {
    command -v puppet >/dev/null && return
    # Without a word from the configuration, the distribution's own package.
    if command -v apt-get >/dev/null; then program=apt-get PACKAGES=${PACKAGES:-puppet-agent}
    elif command -v dnf >/dev/null; then program=dnf PACKAGES=${PACKAGES:-puppet}
    elif command -v yum >/dev/null; then program=yum PACKAGES=${PACKAGES:-puppet}
    else fail "there is neither apt-get nor dnf nor yum to install the agent with"
    fi
    say "installing $PACKAGES"
    case $program in
    apt-get) install_with_apt ;;
    *) install_with_rpm "$program" ;;
    esac
    command -v puppet >/dev/null || fail "$PACKAGES is installed, but puppet is not on $PATH"
}

install_with_apt() {
    if [ -e "$here/repository.sources" ]; then
        # shellcheck disable=SC1091 # the system's
        release=$(. /etc/os-release && printf 's|%%{codename}|%s|g;s|%%{id}|%s|g;s|%%{version}|%s|g' \
            "${VERSION_CODENAME-}" "${ID-}" "${VERSION_ID-}")
        mkdir -p /etc/apt/keyrings
        cp -- "$here/repository.key" /etc/apt/keyrings/puppetmaster-agent.asc
        sed "$release" "$here/repository.sources" >/etc/apt/sources.list.d/puppetmaster-agent.sources
        # apt reads them as a user of its own
        chmod 0755 /etc/apt/keyrings
        chmod 0644 /etc/apt/keyrings/puppetmaster-agent.asc /etc/apt/sources.list.d/puppetmaster-agent.sources
    fi
    set -- timeout "$INSTALL_SECONDS" apt-get -q -y -o DPkg::Lock::Timeout=300 -o Dpkg::Use-Pty=0
    again 5 15 "$@" update || fail "apt-get update: $(last_error)"
    # shellcheck disable=SC2086 # one word a package
    again 3 15 "$@" -o Dpkg::Options::=--force-confold install --no-install-recommends $PACKAGES ||
        fail "apt-get install $PACKAGES: $(last_error)"
}

install_with_rpm() {
    if [ -e "$here/repository.repo" ]; then
        cp -- "$here/repository.key" /etc/pki/rpm-gpg/RPM-GPG-KEY-puppetmaster-agent
        cp -- "$here/repository.repo" /etc/yum.repos.d/puppetmaster-agent.repo
        chmod 0644 /etc/pki/rpm-gpg/RPM-GPG-KEY-puppetmaster-agent /etc/yum.repos.d/puppetmaster-agent.repo
    fi
    # shellcheck disable=SC2086 # one word a package
    again 5 15 timeout "$INSTALL_SECONDS" "$1" -q -y install $PACKAGES || fail "$1 install $PACKAGES: $(last_error)"
}

# What the agent has; the places differ from one packaging to the next. All at once, for each question costs a second.
ask() {
    told=$(puppet config print --section agent agent_disabled_lockfile ca_port ca_server certname csr_attributes \
        hostcert localcacert server serverport 2>>"$log")
}

# setting NAME: of what was told last
setting() {
    printf '%s\n' "$told" | sed -n "s/^$1 = //p"
}

# want NAME VALUE: puppet edits its own file, so what else stands there stays.
want() {
    [ "$(setting "$1")" != "$2" ] || return 0
    puppet config set --section "$section" "$1" "$2" >>"$log" 2>&1 || fail "puppet.conf: $1 cannot be set: $(last_error)"
    changed=yes
}

wanted() {
    "$1" certname "$CERTNAME"
    "$1" server "$SERVER"
    "$1" serverport "$PORT"
    [ -z "$CA_SERVER" ] || "$1" ca_server "$CA_SERVER"
    [ -z "$CA_PORT" ] || "$1" ca_port "$CA_PORT"
}

must_be() {
    [ "$(setting "$1")" = "$2" ] || fail "puppet.conf: $1 is $(setting "$1"), although it was set"
}

put() {
    if ! { mkdir -p -- "$(dirname -- "$2")" && cp -- "$here/$1" "$2.new" && chmod "$3" "$2.new" &&
        sync -- "$2.new" && mv -f -- "$2.new" "$2"; }; then
        fail "$2 cannot be written"
    fi
}

# What an image or an earlier life left must go, once: a second start goes on with the key that was asked for. Which
# life this is, certname and token tell, for a machine keeps its host name. On disk before the new key is.
begin() {
    [ -e "$here/csr_attributes.yaml" ] || return 0
    life="$CERTNAME $(sha256sum <"$here/csr_attributes.yaml")"
    [ "$(cat "$here/begun" 2>/dev/null)" != "$life" ] || return 0
    say "removing the old identity"
    sh "$here/forget" >>"$log" 2>&1 || fail "the old identity cannot be removed: $(last_error)"
    if ! { printf '%s\n' "$life" >"$here/begun.new" && sync && mv -f -- "$here/begun.new" "$here/begun" && sync; }; then
        fail "$here/begun cannot be written"
    fi
}

configure() {
    ask
    # A value under [agent] wins over the one under [main].
    for section in main agent; do
        changed=no
        wanted want
        [ $changed = no ] || ask
    done
    wanted must_be
    attributes=$(setting csr_attributes)
    authority=$(setting localcacert)
    certificate=$(setting hostcert)
    if [ -z "$attributes" ] || [ -z "$authority" ] || [ -z "$certificate" ]; then
        fail "puppet config print failed: $(last_error)"
    fi
    [ -e "$here/csr_attributes.yaml" ] || return 0
    # With the authority's certificates in place, nothing is trusted on first use.
    put ca.pem "$authority" 0644
    put csr_attributes.yaml "$attributes" 0600
}

enrol() {
    [ -e "$here/csr_attributes.yaml" ] || return 0
    say "asking $SERVER for the certificate of $CERTNAME"
    # Without keep-alive: over TLS 1.3, some agents would wait 30 s after their request.
    timeout "$((SIGNED_SECONDS + 120))" puppet ssl bootstrap --color false --waitforcert 5 \
        --maxwaitforcert "$SIGNED_SECONDS" --http_keepalive_timeout 0 --waitforlock 5 --maxwaitforlock 60 >>"$log" 2>&1
    [ -s "$certificate" ] || fail "no certificate: $(last_error) (on the master: enc-admin signing log)"
    if ! cmp -s "$here/ca.pem" "$authority"; then
        certificate=/nonexistent
        fail "$authority differs from the user data"
    fi
    # The token did its work.
    rm -f -- "$attributes" "$here/csr_attributes.yaml"
}

# A timer asks for the next certificate before this one ends. Both live below systemd's own names.
keep_certificate() {
    if [ "$RENEW_SECONDS" -eq 0 ] || [ ! -d /run/systemd/system ]; then return; fi
    unit=/etc/systemd/system/puppetmaster-renew
    printf '%s\n' '[Unit]' "Description=Renew the Puppet agent's certificate before it ends" \
        'Wants=network-online.target' 'After=network-online.target' '[Service]' Type=oneshot TimeoutStartSec=900 \
        "Environment=PATH=/opt/puppetlabs/puppet/bin:$PATH" "ExecStart=/usr/bin/env ruby $here/renew $RENEW_SECONDS" \
        NoNewPrivileges=yes ProtectSystem=yes ProtectHome=yes PrivateTmp=yes PrivateDevices=yes RestrictNamespaces=yes \
        'RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6 AF_NETLINK' RestrictRealtime=yes RestrictSUIDSGID=yes \
        LockPersonality=yes ProtectKernelModules=yes ProtectKernelTunables=yes ProtectControlGroups=yes \
        MemoryMax=50% TasksMax=64 OOMPolicy=stop >$unit.service
    printf '%s\n' '[Unit]' "Description=Renew the Puppet agent's certificate before it ends" '[Timer]' \
        OnCalendar=daily RandomizedDelaySec=12h Persistent=true '[Install]' WantedBy=timers.target >$unit.timer
    chmod 0644 $unit.service $unit.timer
    service daemon-reload
    service enable --now puppetmaster-renew.timer
}

first_run() {
    say "first run"
    disabled=$(setting agent_disabled_lockfile)
    if [ -z "$disabled" ] || [ -e "$disabled" ]; then puppet agent --enable >>"$log" 2>&1; fi
    tries=$RUNS
    while :; do
        timeout "$RUN_SECONDS" puppet agent --onetime --no-daemonize --verbose --color false --detailed-exitcodes \
            --no-usecacheonfailure --no-splay --waitforcert 0 --waitforlock 10 --maxwaitforlock 300 >>"$log" 2>&1
        status=$?
        case $status in
        0 | 2) return 0 ;;
        124) reason="not ready within $RUN_SECONDS s" ;;
        4 | 6) reason="some resources failed: $(last_error)" ;;
        *) reason="no catalog: $(last_error)" ;;
        esac
        tries=$((tries - 1))
        [ "$tries" -gt 0 ] || return 1
        say "the run failed, $tries more: $reason"
        sleep 30
    done
}

if [ -e "$here/result" ] && [ ! -e "$here/csr_attributes.yaml" ]; then
    case $(cat -- "$here/result") in built*)
        say "$(cat -- "$here/result") (earlier)"
        exit 0
        ;;
    esac
fi
# Of an image, perhaps; it takes the same lock.
service stop puppetmaster-renew.timer puppetmaster-renew.service
exec 9>"$here/lock"
flock -n 9 || { echo "the first run is already running" >&2; exit 1; }

hold_agent
install_agent
begin
configure
enrol
keep_certificate
first_run || fail "the first run: $reason"
release_agent
conclude "built $(date +%s) took $(($(since_boot) - began))"
