"""What `sync` and `send` share: the instance's patch queue, from the configuration and the journal."""

from __future__ import annotations

from enc.commands.call import Call
from enc.settings import config
from enc.terms.environments import Rules
from enc.terms.errors import ToolkitError
from enc.terms.names import BranchName, Certname, EnvironmentName
from git_hooks.deploy.deployer import Deployer
from git_hooks.deploy.targets import Tip
from puppetmaster_self.instance.keep import LOCAL
from puppetmaster_self.instance.machine import Machine
from puppetmaster_self.sync.patch_repository import PatchRepository
from puppetmaster_self.sync.sync import Deployed, Policy, Sync
from puppetmaster_self.sync.tree_check import TreeCheck
from puppetmaster_self.sync.working_copy import WorkingCopy
from puppetmaster_self.transaction.journal import Journal
from puppetmaster_self.transaction.states import WrongState
from puppetmaster_self.transaction.steps.base import PUPPETS


def queue_here(call: Call, journal: Journal, machine: Machine) -> Sync:
    """Return this instance's patch queue; raise `WrongState` if it is not its own master."""
    if journal.state != "serving":
        raise WrongState(f"this instance is {journal.state}, and only a self-master has local patches")
    own, places = call.settings.self_master, machine.places
    branches = config.load(places.configuration).branches
    environment = EnvironmentName(journal.opened["environment"])
    repository = PatchRepository(places.repository, timeout=float(own.sync.timeout), lock_handle=machine.lock_handle)
    places.sync.mkdir(exist_ok=True)

    site = Rules(branches.rules).branch_of(PUPPETS) if environment != PUPPETS else None

    def deploy() -> Deployed:
        held = ""
        with Deployer(branches) as deployer:
            wanted = {PUPPETS: site, environment: LOCAL} if site else {environment: LOCAL}
            for name, branch in wanted.items():
                if deployer.repository.tip(branch) is None:
                    continue
                done = deployer.deploy(name, Tip(branch), "puppetmaster-self", "sync")
                if done.outcome == "held":
                    held = f"{name} is held (branch-manager release)"
                elif not done.good:
                    return Deployed(False, f"{name} was not deployed: {done.detail}")
        return Deployed(True, held)

    return Sync(
        repository,
        WorkingCopy(own.working_copy, LOCAL, repository, places.sync / "under-way.json"),
        LOCAL,
        BranchName(journal.opened["branch"]),
        Policy(own.sync.on_conflict),
        TreeCheck(
            machine,
            branches,
            own.sync,
            environment,
            Certname(journal.opened["certname"]),
            places.sync / "compile",
            float(own.run_timeout),
        ),
        deploy,
        site=site,
    )


def refuse_together(call: Call, *names: str) -> None:
    """Raise `ToolkitError` if more than one of these options was given."""
    given = [name for name in names if getattr(call.arguments, name) not in (None, False)]
    if len(given) > 1:
        words = " and ".join("--" + name.replace("_", "-") for name in given)
        raise ToolkitError(f"{words} cannot be combined")
