# shellcheck shell=bash
# Makes sure that what quickstart and run-tests need is here. Sourced, not run.
#
# Owns: Debian packages, and the virtual environment .venv of this checkout.
# Not its business: starting anything. A system slapd, puppetserver or agent that
# a package brings along is neither started nor enabled.
# Failure modes: no root and no sudo, no package source, no Python 3.11, a checkout of another account: one line, exit 1.
#
# Expects: the working directory is the checkout's top; `set -euo pipefail`.

say() { printf '%s\n' "$*" >&2; }
fail() { say "$0: $*"; exit 1; }

as_root() {
    if ((EUID == 0)); then "$@"
    elif ! command -v sudo >/dev/null; then fail "cannot run '$*': not root, and sudo is missing"
    # sudo asks for a password at the terminal, whatever stdin is here.
    elif [[ -z ${CI:-} ]] && { : </dev/tty; } 2>/dev/null; then sudo "$@"
    else sudo -n "$@" || fail "'sudo -n $*' failed; run it yourself, then try again"
    fi
}

# A package, and the file (a glob) that shows that it (or another packaging of it) is here. None below /usr/share/doc
# and /usr/share/man: small images leave those out.
declare -Ar PACKAGES=(
    [slapd]=/usr/sbin/slapd
    [ldap-utils]=/usr/bin/ldapmodify
    [puppetserver]=/usr/share/puppetserver/puppetserver.jar
    [puppet-agent]=/usr/bin/puppet
    [openssl]=/usr/bin/openssl
    [shellcheck]=/usr/bin/shellcheck
    [gcc]=/usr/bin/gcc
    [libc6-dev]=/usr/include/stdio.h
    [git]=/usr/bin/git
    [openssh-server]=/usr/sbin/sshd
    [openssh-client]=/usr/bin/ssh
    [r10k]=/usr/bin/r10k
    [g10k]=/usr/bin/g10k
    [systemd]=/usr/bin/systemd-analyze
    [iproute2]=/usr/bin/ip
    [socat]=/usr/bin/socat
    [curl]=/usr/bin/curl
    [procps]=/usr/bin/ps
    [cloud-init]=/usr/bin/cloud-init
    [mmdebstrap]=/usr/bin/mmdebstrap
    [systemd-container]=/usr/bin/systemd-nspawn
    [bubblewrap]=/usr/bin/bwrap
    [puppet-lint]=/usr/bin/puppet-lint
    [puppet-strings]='/usr/share/rubygems-integration/*/gems/puppet-strings-*'
    [zsh]=/usr/bin/zsh
    [fish]=/usr/bin/fish
)

# The packages of the arguments that are missing, one a line.
missing_packages() {
    local package
    for package; do
        [[ -v PACKAGES[$package] ]] || fail "PACKAGES does not say which file shows that $package is here"
        compgen -G "${PACKAGES[$package]}" >/dev/null || printf '%s\n' "$package"
    done
}

readonly POLICY=/usr/sbin/policy-rc.d
readonly POLICY_ASIDE=/usr/sbin/policy-rc.d.before-puppetmaster-toolkit
readonly POLICY_MARK='# puppetmaster-toolkit: no service starts while its packages are installed'

# Puts the machine's own policy back, also after a run that was killed.
restore_policy() {
    if [[ -e $POLICY_ASIDE ]]; then as_root mv -f "$POLICY_ASIDE" "$POLICY"
    elif [[ -e $POLICY ]] && grep -qxF "$POLICY_MARK" "$POLICY"; then as_root rm -f "$POLICY"
    fi
}

# invoke-rc.d and deb-systemd-invoke ask this program before they start a service; 101 means no.
forbid_starts() {
    restore_policy
    [[ ! -e $POLICY ]] || as_root cp -p "$POLICY" "$POLICY_ASIDE"
    printf '#!/bin/sh\n%s\nexit 101\n' "$POLICY_MARK" | as_root tee "$POLICY" >/dev/null
    as_root chmod 0755 "$POLICY"
}

install_packages() {
    command -v apt-get >/dev/null || fail "please install: $* (there is no apt-get here to do it)"
    say "Installing Debian packages: $*"
    (as_root true) 2>/dev/null || fail "this needs root; as root run: apt-get install --no-install-recommends $*"
    trap restore_policy EXIT
    forbid_starts
    local -a apt=(as_root env DEBIAN_FRONTEND=noninteractive
        apt-get -q -y -o DPkg::Lock::Timeout=300 -o Dpkg::Use-Pty=0)
    # Without this, slapd's package would make a database with a password that nobody knows.
    [[ " $* " != *" slapd "* ]] ||
        as_root sh -c 'echo slapd slapd/no_configuration boolean true | debconf-set-selections' || true
    # This machine was made long ago: cloud-init is here to be asked, and its next boot is none of its business.
    [[ " $* " != *" cloud-init "* ]] || as_root install -D -m 0644 /dev/null /etc/cloud/cloud-init.disabled
    "${apt[@]}" update >.cache/apt.log 2>&1 ||
        say "apt-get update failed (.cache/apt.log); going on with the package lists that are here"
    "${apt[@]}" install --no-install-recommends "$@" >>.cache/apt.log 2>&1 || {
        tail -n 20 .cache/apt.log >&2
        fail "apt-get install failed; all of its output is in .cache/apt.log"
    }
    restore_policy
    trap - EXIT
    if [[ -d /run/systemd/system ]]; then
        local unit
        for unit in slapd puppetserver puppet ssh; do
            # Only what came just now; puppet.service belongs to puppet-agent, ssh.service to openssh-server.
            [[ " $* " == *" ${unit/#ssh/openssh-server}"[\ -]* ]] || continue
            as_root systemctl disable --quiet "$unit" 2>/dev/null || true
        done
    fi
}

# Prints a Python that is new enough; `$1` is what else it must be able to import.
find_python() {
    local candidate
    for candidate in python3 python3.13 python3.12 python3.11 /usr/bin/python3; do
        if "$candidate" -c "import sys, $1; sys.exit(sys.version_info < (3, 11))" 2>/dev/null; then
            command -v "$candidate"
            return
        fi
    done
    return 1
}

# Everything that decides what .venv holds. The scripts are copied into it.
venv_stamp() {
    printf '%s\n' "$PWD"
    sha256sum pyproject.toml setup.py files/requirements.lock requirements-test.lock enc/enc enc/enc-trusted enc/enc-autosign git_hooks/puppetmaster-*
}

# Whether .venv belongs to this place and has every module that we ask pip for.
venv_works() {
    [[ -x .venv/bin/python && -x .venv/bin/enc-admin && -x .venv/bin/branch-manager ]] && .venv/bin/python - "$PWD/.venv" 2>/dev/null <<'PYTHON'
import importlib.util, os, sys
wanted = "cryptography flask gunicorn ldap3 pygit2 yaml pytest xdist hypothesis mypy ruff enc.terms.errors git_hooks puppetmaster_self".split()
sys.exit(not (os.path.samefile(sys.prefix, sys.argv[1]) and all(map(importlib.util.find_spec, wanted))))
PYTHON
}

# What the locks hold, byte for byte (.ci/lock.py), and this checkout built with that. Also accounts of the quickstart's
# instance read it.
fill_venv() (
    umask 022
    local -ra install=(.venv/bin/python -m pip install --disable-pip-version-check --no-input)
    {
        "${install[@]}" --require-hashes -r requirements-test.lock &&
            "${install[@]}" --no-deps --no-build-isolation -e . &&
            .venv/bin/python -m pip check --disable-pip-version-check
    } >.cache/pip.log 2>&1 || {
        tail -n 20 .cache/pip.log >&2
        return 1
    }
)

# need_python: .venv as setup.py and the locks say. pip is asked only when that changed. A Python is here.
need_python() {
    local stamp python
    stamp=$(venv_stamp)
    if [[ -r .venv/stamp && $(<.venv/stamp) == "$stamp" ]] && venv_works; then return; fi
    python=$(find_python venv,ensurepip) || fail "Python 3.11 or later with venv is needed"
    say "Installing Python packages into .venv"
    if ! { venv_works && fill_venv && venv_works; }; then
        rm -rf .venv
        (umask 022 && "$python" -m venv .venv) || fail "$python -m venv .venv failed"
        fill_venv || fail "pip could not install what the locks hold (see above)"
        venv_works || fail ".venv is incomplete although pip succeeded"
    fi
    printf '%s\n' "$stamp" >.venv/stamp
}

# bootstrap NAME...: installs those packages that are missing, all at once, and .venv.
# One run at a time does; the others wait for it. Where Python is here already, pip works while apt does.
bootstrap() {
    local missing pip=
    if [[ ! -w . ]] || ! mkdir -p .cache || [[ ! -w .cache ]]; then
        fail "$(id -un) cannot write to $PWD/.cache: use a clone of your own, or the account that this one belongs to"
    fi
    exec {bootstrap_lock}>.cache/bootstrap.lock
    flock --nonblock "$bootstrap_lock" || { say "Waiting for another run that installs"; flock "$bootstrap_lock"; }
    missing=$(missing_packages "$@")
    if find_python venv,ensurepip >/dev/null; then need_python & pip=$!; else missing+=' python3-venv'; fi
    # shellcheck disable=SC2086 # one word a package
    [[ -z $missing ]] || install_packages $missing
    missing=$(missing_packages "$@")
    [[ -z $missing ]] || fail "still missing after installation: ${missing//$'\n'/ }"
    if [[ $pip ]]; then wait "$pip" || exit 1; else need_python; fi
    # What Puppet's packages lack, for who sources this, too.
    security=$(.venv/bin/python -m enc.puppet.packages 2>&1)
    [[ -z $security ]] || say "$security"
    exec {bootstrap_lock}>&-
}
