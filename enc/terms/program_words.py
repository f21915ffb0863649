"""Which of a program's words say why it failed. Pure.

git, ssh, Puppet, apt and their like print a dozen lines when they fail, and
the one that tells the cause is seldom the first or the last: after "Host key
verification failed." ssh's git goes on to "Please make sure you have the
correct access rights / and the repository exists." So lines are ranked:

1. causes: the network, a key, a certificate, a name, the disk, a lock, damage;
2. what the program itself calls an error (`fatal:`, `Error:`, `E:` …);
3. its last words.

Of the best rank that is there, the first `_MOST` lines are told (the first
error is what the others follow from), of the third the last. Lines that only
say that something failed are never told while there is another.

Passwords in addresses are taken out. Whoever starts a program and tells `why`
keeps its other words in the log (`enc.programs.log.all_said`): a table is never complete.
Not here: what to do about it; that differs by who asked.
"""

from __future__ import annotations

import re
from functools import cache

from enc.terms.errors import bounded, one_line

_MOST = 3
_LINES = 400
"""Of longer outputs the first and the last half of so many lines are looked at."""
_LONGEST = 16_384
"""Characters of what is told, and of one line."""
_LOOKED_AT = 600
"""Characters of a line that decide what it is; who writes the lines may be hostile, and must not cost us minutes."""

NOTHING = "it gave no reason"

_CREDENTIALS = re.compile(r"\b(?!ssh://[^/@\s:]+@)([a-z][a-z+]{0,20}://)[^/@\s]+@", re.IGNORECASE)
"""Names and passwords; who logs in by ssh is neither."""

_COLOURS = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
_IN_FRONT = re.compile(r"^(?:[0-9a-f]{8}\.[0-9a-f]+ 0x[0-9a-f]+ |ERROR\s+->\s+)")
"""Time and thread of slapd's log lines; r10k's mark."""


_EMPTY = (
    # git, and what it says after ssh or a server has told the reason
    r"^(?:remote:\s*)?[\W_]*$",
    r"[Cc]ould not read from remote repository|correct access rights$|^and the repository exists",
    r"^fatal: [Tt]he remote end hung up|^error: failed to push some refs|^fatal: fetch-pack: invalid index-pack",
    r"^fatal: (?:index-pack|unpack-objects) failed|^error: Could not fetch|^hint: |^warning: |^From |^To ",
    r"^(?:remote: )?(?:Enumerating|Counting|Compressing|Receiving|Writing) objects",
    r"^(?:remote: )?Total \d|^Resolving ",
    r"^Another git process seems|^an editor opened by|^are terminated then|^may have crashed in|^remove the file man",
    # ssh
    r"^Warning: Permanently added|^@+$|^IT IS POSSIBLE",
    r"^Someone could be|^It is also possible that|^The fingerprint for",
    r"^SHA256:|^Please contact your system admin",
    r"^Add correct host key|^It is required that|^This private key will be",
    r"^debug\d: |^\*\* WARNING: connection is not using|^Connection to \S+ closed|^Pseudo-terminal",
    # Puppet
    r"^(?:Notice|Info|Debug): |^Error: Facter: |[Ss]kipping run",
    r"^Warning: Not using cache|Try 'puppet help|^Error: Run ",
    # apt, dpkg, systemd, Java, slapd
    r"^[WN]: |^Errors were encountered while|^E: Sub-process ",
    r"^E: Unable to fetch some|frontend lock \(|^Reading |^Get:",
    r"^Building dep|^See \"systemctl|^See system logs",
    r": Main process exited|: Failed with result|^Failed to start .*\.$",
    r"^at [\w.$/<>]+\(|^\.\.\. \d+ more|Closing DB|slapd stopped|slapd destroy|connections_destroy|@\(#\)|^_",
    r"slap\w+ shutdown|bad configuration (?:file|directory)!|^usage: |^Use \"",
)
"""Lines that say that something failed, or nothing, and not why."""

_NOT_OF_IT = (r"^(?:Notice|Info|Debug): ", r"^debug\d: ", r"^Error: Facter: ", r"^(?:remote: )?[A-Z]\w+ing objects")
"""Lines that are never a cause, whatever they mention."""

_CAUSES = (
    # whom one talks to, and as whom
    r"Host key verification failed",
    r"REMOTE HOST IDENTIFICATION HAS CHANGED|No \S+ host key is known|^Host key for .* has changed",
    r"Permission denied \(|Too many authentication failures|Load key |Permissions \d+ for .* too open",
    r"Identity file .* not accessible|Bad owner or permissions on",
    r"no mutual signature|no matching (?:host key|key ex|ciph)",
    r"Authentication failed|could not read (?:Username|Password)",
    r"terminal prompts disabled|[Aa]ccess denied|Unauthorized",
    r"Invalid username or|Invalid credentials|[Pp]assword authentication (?:was removed|is not)|HTTP Basic:|SAML SSO",
    r"account is (?:suspended|blocked|locked)|[Rr]epository .*(?:disabled|archived|blocked|suspended)|DENIED by",
    r"certificate (?:problem|verif|has expired|is not trusted|signed by)|certificate subject name|CERTIFICATE_VERIFY",
    r"gnutls_handshake|SSL_connect|SSL routines|TLS (?:init|connect|alert|handshake)|bad certificate",
    # the network
    r"[Cc]ould not resolve (?:host|proxy)",
    r"Name or service not known|Temporary failure (?:in name resolution|resolving)",
    r"Connection (?:refused|reset|timed out|closed by)|Couldn't connect to|Failed to connect to|No route to host",
    r"Network is unreachable|Operation timed out",
    r"[Tt]imed? ?out after|Address already in use|kex_exchange_identification",
    # what is asked for
    r"(?:[Rr]epository|project) .*(?:not found|not be found|does not exist)|[Rr]epository not found",
    r"does not appear to be a git repository|project you were looking for|couldn't find remote ref|not our ref",
    r"requested URL returned error|redirect|transport '.*' not allowed|unsafe repository|dubious ownership",
    r"not valid: is this a git repository",
    # what came
    r"^error: object \w+: |early EOF|unexpected disconnect|RPC failed",
    r"pack has bad|corrupt|fsck error|missing (?:blob|tree|commit|necessary)",
    r"inflate(?:Init)?: |bad (?:object|tree|pack|line length)",
    r"object .* (?:is|cannot be) (?:empty|read)|did not send all",
    r"shallow|unadvertised|protocol error|hash mismatch|checksum",
    # this machine
    r"No space left|[Dd]isk quota|Read-only file system|Cannot allocate memory|[Oo]ut of memory|OutOfMemory",
    r"Too many open files|Input/output error|Stale file handle",
    r"File too large|insufficient permission|Permission denied$",
    r"\.lock': File exists|Unable to create '.*lock",
    r"[Cc]ould not get lock|cannot lock ref|unable to lock|held by process",
    r"cannot open shared object|lt_dlopen|: line \d+: ",
)

_ERRORS = (
    r"^(?:[\w./+-]+: )?(?:fatal|error|panic|FATAL|ERROR|CRITICAL)\b",
    r"^(?:[\w./+-]+: )?Error\b(?!s)|^E: |^Err:|^dpkg: |^ssh: |^remote: |^! \[|^Failed |^Job for |^FAILED",
    r"^(?:[\w.$]+\.)?\w*(?:Error|Exception|Errno::\w+): |\((?:\w+::)*\w*(?:Error|Errno::\w+)\)$",
    r"^Caused by: |^Exception in thread|^Execution error|^Syntax error",
)


def why(output: str, otherwise: str = NOTHING) -> str:
    """Return the lines of a program's `output` that say why it failed, as one line; `otherwise` if it said nothing."""
    lines = _lines(output)
    telling = [line for line in lines if not _fits(_EMPTY, line)]
    causes = [line for line in lines if _fits(_CAUSES, line) and not _fits(_NOT_OF_IT, line)]
    # A cause may stand in a line that begins like noise (`warning: redirecting to …`); the telling ones come first.
    causes = [line for line in causes if line in telling] or causes
    errors = [line for line in telling if _fits(_ERRORS, line)]
    last = telling or [line for line in lines if _fits(_ERRORS, line)][:1] or lines
    chosen = causes[:_MOST] or errors[:_MOST] or last[-_MOST:]
    return bounded(one_line("; ".join(dict.fromkeys(chosen))), _LONGEST) or otherwise


def without_credentials(text: str) -> str:
    """Return `text` without the names and passwords in its addresses."""
    return _CREDENTIALS.sub(r"\1", text)


def _fits(patterns: tuple[str, ...], line: str) -> bool:
    return _compiled(patterns).search(line[:_LOOKED_AT]) is not None


@cache
def _compiled(patterns: tuple[str, ...]) -> re.Pattern[str]:
    """Compile at the first failure: most processes have none, and a hook is waited for."""
    return re.compile("|".join(f"(?:{pattern})" for pattern in patterns))


def _lines(output: str) -> list[str]:
    # A progress bar overwrites its line with carriage returns. Not splitlines(): U+2028 ends no line of a program.
    raw = _COLOURS.sub("", output).replace("\r", "\n").split("\n")
    if len(raw) > _LINES:
        raw = [*raw[: _LINES // 2], *raw[-_LINES // 2 :]]
    cleaned = (_IN_FRONT.sub("", without_credentials(bounded(line, _LONGEST)).strip(" \t@")) for line in raw)
    return list(dict.fromkeys(line for line in cleaned if line))
