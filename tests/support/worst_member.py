"""What a member pushes who wants all that is not theirs, for a puppetserver that trusts members' code.

One program tries everything, and the branch has it run in each way in which a branch gets puppetserver's account: by a
`config_version`, by `generate()`, by an ERB template, and by a Ruby function, which first reads by itself, inside
puppetserver, and adds a resource to every catalog that this process compiles from then on. Each way leaves a file that
says what came of it, so that a test sees that the attempt was made.

Not here: which machines there are, and what must not have come of it (tests/real/test_module_applied.py).
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from tests.support.machines import Machine

WAYS = ("config_version", "generate", "erb", "function")
LOOT = "/var/lib/puppetserver/loot"
"""Where puppetserver's account may write: LOOT.WAY.json."""
ADDED = "code of project red on"
_SSL = "/var/lib/puppet/ssl"
_PROGRAM = r"""#!/usr/bin/python3
import glob, http.client, json, os, pwd, ssl, subprocess, sys
way = sys.argv[1]
wanted = json.load(open(os.path.dirname(os.path.realpath(__file__)) + "/wanted.json"))

def tried(act, *arguments):
    try:
        return act(*arguments)
    except OSError as error:
        return type(error).__name__

def read(path):
    with open(path, "rb") as file:
        return file.read(300_000).decode("latin-1")

def opened(path):
    os.close(os.open(path, os.O_WRONLY))
    return "may be written"

def made(place):
    os.mkdir(place + "/worst")
    return "may be written"

def asked(host, method, path, body):
    name, ssldir = wanted["name"], wanted["ssldir"]
    context = ssl.create_default_context(cafile=f"{ssldir}/certs/ca.pem")
    context.load_cert_chain(f"{ssldir}/certs/{name}.pem", f"{ssldir}/private_keys/{name}.pem")
    server, _, port = host.partition(":")
    connection = http.client.HTTPSConnection(server, int(port), context=context, timeout=60)
    kind = "text/plain" if "REQUEST" in body else "application/json"
    connection.request(method, path, body, {"Content-Type": kind, "Accept": "application/json, text/plain"})
    answer = connection.getresponse()
    return [answer.status, answer.read().decode("latin-1")]

def ran(*command):
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    return [done.returncode, done.stdout + done.stderr]

found = {"who": pwd.getpwuid(os.geteuid()).pw_name}
places = sorted({path for place in wanted["places"] for path in [*glob.glob(place), place]})
found["read"] = {path: tried(read, path) for path in places}
found["written"] = {path: tried(made if os.path.isdir(path) else opened, path) for path in wanted["writes"]}
found["asked"] = {" ".join(request[:3]): tried(asked, *request) for request in wanted["requests"]}
found["ran"] = {" ".join(command): tried(ran, *command) for command in wanted["commands"]}
with open(f"{wanted['loot']}.{way}.json", "w") as file:
    json.dump(found, file)
print(way)
"""
COMPILER = r"""
unless Puppet::Parser::Compiler.method_defined?(:as_it_was)
  class Puppet::Parser::Compiler
    alias_method :as_it_was, :compile
    def compile(&block)
      as_it_was do |catalog|
        found = block.call(catalog)
        found.add_resource(Puppet::Resource.new('Notify', "code of project red on #{@node.name}"))
        found
      end
    end
  end
end
"""
"""What members' code does to every catalog that its JRuby compiles from then on."""
_FUNCTION = COMPILER + r"""
require 'json'
Puppet::Functions.create_function(:own) do
  def own(program)
    wanted = JSON.parse(File.read(File.join(File.dirname(program), 'wanted.json')))
    places = wanted['places'].flat_map { |place| Dir.glob(place, File::FNM_DOTMATCH) + [place] }.uniq
    read = places.to_h do |path|
      [path, File.binread(path, 300_000).encode('UTF-8', 'BINARY', invalid: :replace, undef: :replace)]
    rescue SystemCallError => e
      [path, e.class.to_s]
    end
    `/usr/bin/python3 #{program} function`
    file = "#{wanted['loot']}.function.json"
    File.write(file, JSON.generate(JSON.parse(File.read(file)).merge('inside' => read)))
    'done'
  end
end
"""
_SITE = r"""
node default {
  $worst = "/etc/puppet/code/environments/project_red/worst/worst"
  $ways = [generate($worst, 'generate'), inline_template("<%= `#{@worst} erb` %>"), own($worst)]
  file { '/built': content => "${trusted['certname']} of ${trusted['external']['project']} in ${environment}\n" }
}
"""


@dataclass(frozen=True)
class Wanted:
    """What the member is after."""

    name: str
    """The compile server's certname, whose key its puppetserver reads."""
    places: Sequence[str]
    """Files to read, as patterns; of a pattern that finds nothing it is said so."""
    writes: Sequence[str]
    """Files and directories to write."""
    allowed: Sequence[tuple[str, str, str, str]]
    """HOST:PORT, method, path and body, asked with the server's certificate, which every node may."""
    refused: Sequence[tuple[str, str, str, str]]
    """Such ones that it may not."""
    commands: Sequence[tuple[str, ...]]
    """Programs to run."""


class Found(NamedTuple):
    """What came of it by one way."""

    who: str
    """The account that it ran as."""
    read: dict[str, str]
    """A place, and what is there, or the class of the error."""
    written: dict[str, str]
    asked: dict[str, Any]
    """HOST:PORT METHOD PATH, and status with text, or the class of the error."""
    ran: dict[str, Any]
    inside: dict[str, str] = {}  # noqa: RUF012 - read only
    """As `read`, by Ruby inside puppetserver."""


def branch(wanted: Wanted) -> dict[str, str]:
    """Return the files of the branch; `worst/worst` and `worst/version` are programs."""
    asked: dict[str, object] = {"name": wanted.name, "ssldir": _SSL, "loot": LOOT}
    asked |= {"places": wanted.places, "writes": wanted.writes, "commands": wanted.commands}
    asked |= {"requests": [*wanted.allowed, *wanted.refused]}
    return {
        "environment.conf": "config_version = worst/version\n",
        "manifests/site.pp": _SITE,
        "modules/worst/lib/puppet/functions/own.rb": _FUNCTION,
        "worst/wanted.json": json.dumps(asked),
        "worst/worst": _PROGRAM,
        "worst/version": '#!/bin/sh\nexec "${0%/*}/worst" config_version\n',
    }


def found(machine: Machine, way: str) -> Found:
    """Return what one of `WAYS` left on the machine, which it must have."""
    text = machine.read(f"{LOOT}.{way}.json")
    assert text, f"{way} was never run"
    left = Found(**json.loads(text))
    assert bool(left.inside) == (way == "function")
    return left


def request_for(certname: str) -> str:
    """Return a request for a certificate of that name."""
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, certname)])
    request = x509.CertificateSigningRequestBuilder().subject_name(name)
    key = ec.generate_private_key(ec.SECP256R1())
    return request.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM).decode()
