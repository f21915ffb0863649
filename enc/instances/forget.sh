#!/bin/sh
# Takes away what an earlier life of this machine's disk left: an image of an instance has its keys, catalog and caches.
#
#     forget       called by first-run, once for each certname and token, before anything of Puppet's is used
#
# Owns: everything below the directories that Puppet names as its own for certificates, authority and caches, in both
# packagings' places too; below /var/lib/puppetmaster everything but our own directory; the units that a self-made
# master or a client of one had; of puppet.conf the lines that led there, and those that named another master.
# Not its business: packages, code, the rest of puppet.conf, logs, /etc/puppetmaster.
# May be killed at any moment and called again: what is secret goes first, and what says where the rest is goes last.
# A directory that is not Puppet's alone is never emptied: exit status 1, and the reason on stderr.
set -u
umask 077
here=$(dirname -- "$(readlink -f -- "$0")")
state=/var/lib/puppetmaster
units=/etc/systemd/system

fail() {
    printf 'Error: %s\n' "$*" >&2
    exit 1
}

# A whole machine: elsewhere, what is at fixed places may be somebody else's.
whole() {
    [ -d /run/systemd/system ]
}

# What puppet has as SETTING in SECTION, of those that were asked for at the beginning.
setting() {
    sed -n "s/^$1 = //p" <"$here/forget.$2"
}

# Without a section of its own, the server has what all have; each question costs a second.
ask() {
    for section in agent server; do
        if [ $section = agent ] || grep -qsE '^[[:space:]]*\[(server|master)\]' "$(setting config agent)"; then
            # shellcheck disable=SC2086 # one word a setting
            puppet config print --section $section $settings >"$here/forget.$section" </dev/null
        else
            cp -- "$here/forget.agent" "$here/forget.server"
        fi
        if [ -z "$(setting ssldir $section)" ] || [ -z "$(setting vardir $section)" ]; then
            fail "puppet config print failed"
        fi
    done
    told=$(cat "$here/forget.agent" "$here/forget.server")
}

# Directories of the system's, or of more than Puppet, that some puppet.conf may name.
shared() {
    case $1 in
    /bin/* | /boot/* | /dev/* | /lib*/* | /proc/* | /run | /sbin/* | /sys/* | /usr/* | /etc/ssl* | /etc/pki* | /home/*) ;;
    /var/cache | /var/lib | /var/lock | /var/log | /var/mail | /var/opt | /var/run | /var/spool | /var/tmp | /var/www) ;;
    /var/lib/apt* | /var/lib/cloud* | /var/lib/dpkg* | /var/lib/rpm* | /var/lib/systemd* | /var/log/*) ;;
    /etc/puppet | /etc/puppetlabs | /etc/puppetlabs/puppet | /etc/systemd* | /opt/puppetlabs) ;;
    /opt/puppetlabs/puppet | /opt/puppetlabs/puppet/bin* | /opt/puppetlabs/puppet/lib* | /opt/puppetlabs/server) ;;
    /*/*) return 1 ;;
    esac
}

# Takes away what is in a directory, but not the directory: packages have made it, for its owner and mode.
empty() {
    [ -d "$1" ] || return 0
    place=$(readlink -f -- "$1")
    if shared "$1" || shared "$place"; then fail "$1 would have to be emptied, but is not Puppet's alone: see puppet.conf"; fi
    shift
    find "$place" -mindepth 1 -maxdepth 1 "$@" -exec rm -rf -- {} + || fail "$place cannot be emptied"
}

stop() {
    whole || return 0
    for service; do
        timeout 180 systemctl disable --now "$service" >/dev/null 2>&1 || :
    done
}

# The agent of the image began to run when the machine did. Its unit leaves a run that is under way.
end_runs() {
    stop puppet.service pxp-agent.service mcollective.service puppetserver.service
    for section in agent server; do
        pid=$(cat "$(setting statedir $section)/agent_catalog_run.lock" 2>/dev/null) || continue
        case $pid in *[!0-9]* | '') continue ;; esac
        for signal in TERM KILL; do
            seconds=60
            while grep -qas puppet "/proc/$pid/cmdline" && [ $seconds -gt 0 ]; do
                [ $seconds -lt 60 ] || kill -s $signal "$pid" 2>/dev/null
                sleep 1
                seconds=$((seconds - 1))
            done
        done
    done
}

forget_units() {
    whole || return 0
    for unit in "$units"/puppetmaster-*.timer "$units"/puppetmaster-*.service "$units"/branch-manager*.service; do
        [ -e "$unit" ] || [ -h "$unit" ] || continue
        stop "${unit##*/}"
        rm -f -- "$unit" "$units"/*.wants/"${unit##*/}"
    done
    systemctl daemon-reload || :
}

forget_keys() {
    for section in agent server; do
        for name in hostprivkey cakey passfile; do
            file=$(setting $name $section)
            [ -z "$file" ] || rm -f -- "$file"
        done
        for name in privatekeydir privatedir ssldir cadir; do
            empty "$(setting $name $section)"
        done
        for name in hostcert hostcsr hostpubkey localcacert hostcrl csr_attributes cacert cacrl; do
            file=$(setting $name $section)
            [ -z "$file" ] || rm -f -- "$file"
        done
    done
    whole || return 0
    for place in /etc/puppet/ssl /etc/puppet/puppetserver/ca /var/lib/puppet/ssl /etc/puppetlabs/puppet/ssl \
        /etc/puppetlabs/puppetserver/ca /etc/puppetdb/ssl /etc/puppetlabs/puppetdb/ssl /etc/puppetlabs/mcollective/ssl \
        /etc/mcollective/ssl /root/.puppetlabs/etc/puppet/ssl; do
        empty $place
    done
    rm -f -- /etc/puppet/csr_attributes.yaml /etc/puppetlabs/puppet/csr_attributes.yaml
}

# Gems of puppetserver live there, too; they are packages.
forget_caches() {
    for section in agent server; do
        for name in client_datadir client_yamldir clientyamldir clientbucketdir bucketdir statedir reportdir yamldir \
            server_datadir plugindest pluginfactdest localedest graphdir devicedir publicdir preview_outputdir; do
            empty "$(setting $name $section)"
        done
        for name in lastrunfile lastrunreport classfile resourcefile statefile transactionstorefile; do
            file=$(setting $name $section)
            [ -z "$file" ] || rm -f -- "$file"
        done
    done
    empty "$(setting vardir agent)" ! -name '*jruby-gems'
    whole || return 0
    for place in /var/lib/puppet /var/cache/puppet /opt/puppetlabs/puppet/cache /opt/puppetlabs/puppet/public \
        /opt/puppetlabs/server/data/puppetserver /root/.puppetlabs/opt/puppet/cache /opt/puppetlabs/pxp-agent/spool; do
        empty $place ! -name '*jruby-gems'
    done
}

# Where a self-made master had its files, if not below our own directory: its agent's ssldir tells. Noted, because that
# cannot be told any more when half of it is gone.
find_bases() {
    base=$(setting ssldir agent)
    case $base in $state/*) return ;; */master/ssl) base=${base%/master/ssl} ;; *) return ;; esac
    if [ -d "$base/transaction" ]; then printf '%s\n' "$base/" >>"$here/forget.bases"; fi
}

forget_ours() {
    while read -r base; do
        if whole && grep -qsF -- "$base" /srv/puppet/.git/config; then empty /srv/puppet; fi
        [ "$base" = $state/ ] || empty "$base"
    done <"$here/forget.bases"
    empty $state ! -name first-run
    rm -rf -- "$here/renewal" "$here/result" "$here/result.new"
}

# Of puppet.conf go, in every section, paths to what is no more, and what names the machine or its master.
forget_settings() {
    file=$(setting config agent)
    [ -f "$file" ] || return 0
    awk '
        FILENAME != ARGV[2] { base[$0]; next }
        /^[ \t]*(certname|server|server_list|serverport|masterport|ca_server|ca_port|report_server|report_port)[ \t]*=/ { next }
        /^[ \t]*[a-z_]+[ \t]*=/ {
            value = $0; sub(/^[^=]*=[ \t]*/, "", value)
            for (one in base) if (index(value "/", one) == 1) next
        }
        { print }' "$here/forget.bases" "$file" >"$file.new" || fail "$file cannot be written"
    if cmp -s "$file" "$file.new"; then rm -f -- "$file.new"; return; fi
    if ! { chmod --reference="$file" "$file.new" && chown --reference="$file" "$file.new" &&
        sync -- "$file.new" && mv -f -- "$file.new" "$file"; }; then
        fail "$file cannot be written"
    fi
}

settings="bucketdir cacert cacrl cadir cakey classfile client_datadir clientbucketdir clientyamldir config
    csr_attributes devicedir graphdir hostcert hostcrl hostcsr hostprivkey hostpubkey lastrunfile lastrunreport
    localcacert localedest passfile plugindest pluginfactdest preview_outputdir privatedir privatekeydir publicdir
    reportdir resourcefile server_datadir ssldir statedir statefile transactionstorefile vardir yamldir"

# Until puppet names no other places: only when the settings of a self-made master are gone does it tell where the agent
# had its files before, and where an authority is depends on what is there.
printf '%s\n' $state/ >>"$here/forget.bases"
before=
while ask && [ "$told" != "$before" ]; do
    before=$told
    find_bases
    end_runs
    forget_units
    forget_keys
    forget_caches
    forget_ours
    forget_settings
done
rm -f -- "$here"/forget.agent "$here"/forget.server "$here"/forget.bases
# What is gone is gone before the new key is made.
sync
