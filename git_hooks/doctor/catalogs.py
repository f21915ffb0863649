"""May pushes be compiled before nodes get them? puppetserver is asked for a catalog that there cannot be."""

from __future__ import annotations

from collections.abc import Iterator

from enc.catalogs.compiler import CompileFailed, Compiler, NoEnvironment, NotCompiled, Where
from enc.doctor.findings import Finding, note, ok, warning
from enc.programs.https import Tls
from enc.settings import Settings
from enc.terms.names import Certname, EnvironmentName

_NOBODYS = EnvironmentName("branch_manager_doctor")
_NAME = Certname("branch-manager-doctor.invalid")


def check(settings: Settings) -> Iterator[Finding]:
    """Ask for a catalog in an environment that does not exist: what is refused for that is allowed otherwise."""
    server = settings.branches.puppetserver
    if settings.pushes.effects == "off" or not server.urls:
        what, do = "pushes do not say what they do to nodes", "see pushes.effects, branches.puppetserver.urls"
        yield note("puppetserver-catalogs", what, do)
        return
    compiler = Compiler(server.urls, Tls(server.ca_file, server.certificate_file, server.key_file), server.timeout)
    try:
        compiler.catalog(_NAME, Where(_NOBODYS, "/nonexistent", _NOBODYS, "/nonexistent"), {})
    except (CompileFailed, NoEnvironment):
        text = f"pushes are compiled for the nodes that use the branch: {', '.join(server.urls)}"
        yield ok("puppetserver-catalogs", text)
    except NotCompiled as error:
        text = f"pushes cannot say what they do to nodes: {error}"
        yield warning("puppetserver-catalogs", text, "see docs/effects.md")
    else:
        text = f"puppetserver compiles an environment that does not exist: {_NOBODYS}"
        yield warning("puppetserver-catalogs", text, "move that environment away")
    finally:
        compiler.close()
