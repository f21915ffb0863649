"""What can be set: a frozen dataclass for each section of the configuration, with its defaults. Pure.

Each field's docstring is its meaning in docs/configuration.md and in `enc-admin
config example` (config_reference.py reads it here). A section says what is wrong
with values that its types let pass (`faults`); reading a file, and refusing, is
config.py's. Programs import sections from here.

Durations are written as `90s`, `15m`, `24h`, `7d` or plain seconds, and are
held in seconds.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from enc.settings.branches import (
    BranchSettings,
    MirrorSettings,
    OpeningSettings,
    PuppetfileSettings,
    PuppetserverSettings,
    PushSettings,
    TransportSettings,
)
from enc.settings.domains import DomainSettings
from enc.settings.instances import (
    AgentSettings,
    AuthoritiesSettings,
    AuthoritySettings,
    InstanceSettings,
    OpenStackSettings,
    SigningSettings,
)
from enc.settings.posix import PosixSettings
from enc.settings.promotion import PromotionSettings, ReviewSettings, RungSettings
from enc.settings.self_master import (
    SelfMasterSettings,
    SyncSettings,
)
from enc.settings.site import (
    AnswerSettings,
    AuditSettings,
    DirectorySettings,
    FollowSettings,
    GroupSettings,
    LogSettings,
    NodeSettings,
    PeopleSettings,
    ProjectSettings,
    RoleSettings,
    SiteSettings,
    TlsSettings,
)
from enc.settings.values import Duration, Section

__all__ = [
    "AgentSettings",
    "AnswerSettings",
    "AuditSettings",
    "AuthoritiesSettings",
    "AuthoritySettings",
    "BranchSettings",
    "DirectorySettings",
    "DomainSettings",
    "Duration",
    "FollowSettings",
    "GroupSettings",
    "InstanceSettings",
    "LogSettings",
    "MirrorSettings",
    "NodeSettings",
    "OpenStackSettings",
    "OpeningSettings",
    "PeopleSettings",
    "PosixSettings",
    "ProjectSettings",
    "PromotionSettings",
    "PuppetfileSettings",
    "PuppetserverSettings",
    "PushSettings",
    "ReviewSettings",
    "RoleSettings",
    "RungSettings",
    "Section",
    "SelfMasterSettings",
    "Settings",
    "SigningSettings",
    "SiteSettings",
    "SyncSettings",
    "TlsSettings",
    "TransportSettings",
]


@dataclass(frozen=True)
class Settings(Section):
    """The whole configuration file, and where it was read."""

    directory: DirectorySettings = field(default_factory=DirectorySettings)
    nodes: NodeSettings = field(default_factory=NodeSettings)
    projects: ProjectSettings = field(default_factory=ProjectSettings)
    groups: GroupSettings = field(default_factory=GroupSettings)
    site: SiteSettings = field(default_factory=SiteSettings)
    people: PeopleSettings = field(default_factory=PeopleSettings)
    posix: PosixSettings = field(default_factory=PosixSettings)
    answers: AnswerSettings = field(default_factory=AnswerSettings)
    follow: FollowSettings = field(default_factory=FollowSettings)
    audit: AuditSettings = field(default_factory=AuditSettings)
    log: LogSettings = field(default_factory=LogSettings)
    branches: BranchSettings = field(default_factory=BranchSettings)
    pushes: PushSettings = field(default_factory=PushSettings)
    promotion: PromotionSettings = field(default_factory=PromotionSettings)
    domains: DomainSettings = field(default_factory=DomainSettings)
    instances: InstanceSettings = field(default_factory=InstanceSettings)
    authorities: AuthoritiesSettings = field(default_factory=AuthoritiesSettings)
    signing: SigningSettings = field(default_factory=SigningSettings)
    openstack: OpenStackSettings = field(default_factory=OpenStackSettings)
    self_master: SelfMasterSettings = field(default_factory=SelfMasterSettings)

    def faults(self) -> Iterator[tuple[str, str]]:
        """Yield what no section can tell alone."""
        if self.domains.serves is not None and self.nodes.semantics == "terminus":
            yield "domains.serves", "a node's project is known only with nodes.semantics: extended"

    @property
    def nodes_base(self) -> str:
        """DN below which nodes are."""
        return self.nodes.base or f"ou=hosts,{self.directory.suffix}"

    @property
    def projects_base(self) -> str:
        """DN below which projects are."""
        return self.projects.base or f"ou=projects,{self.directory.suffix}"

    @property
    def groups_base(self) -> str:
        """DN below which groups are."""
        return self.groups.base or f"ou=groups,{self.directory.suffix}"

    @property
    def people_base(self) -> str:
        """DN below which people are."""
        return self.people.base or f"ou=people,{self.directory.suffix}"

    @property
    def site_dn(self) -> str:
        """DN of the site default's entry."""
        return self.site.dn or f"cn=site,{self.directory.suffix}"

    @property
    def operators_dn(self) -> str:
        """DN of the operators' group."""
        return self.people.operators or f"cn=operators,ou=groups,{self.directory.suffix}"

    @property
    def numbers_base(self) -> str:
        """DN below which the numbers that were given are noted."""
        return self.posix.numbers or f"ou=numbers,{self.directory.suffix}"
