"""The peer: how long ldap3 needs to read all nodes, in the fastest way it has. Prints seconds and entries.

    read_with_ldap3.py URI BASE BIND_DN PASSWORD_FILE COUNT

Streaming (ASYNC_STREAM with the fast decoder) through a syncrepl search was
faster than a plain search or a paged one in all our runs.
"""

import sys
import time

from ldap3 import ASYNC_STREAM, DEREF_NEVER, NONE, Connection, Server

SYNC_REQUEST = ("1.3.6.1.4.1.4203.1.9.1.1", True, bytes([0x30, 3, 10, 1, 3]))
"""RFC 4533: SEQUENCE { mode refreshAndPersist (3) }."""

uri, base, bind_dn, password_file, count = sys.argv[1:]
with open(password_file) as stream:
    password = stream.read().strip()
began = time.perf_counter()
connection = Connection(
    Server(uri, get_info=NONE),
    bind_dn,
    password,
    client_strategy=ASYNC_STREAM,
    check_names=False,
    return_empty_attributes=False,
    fast_decoder=True,
)
connection.bind()
strategy = connection.strategy
strategy.streaming = False
with strategy.async_lock:
    strategy.persistent_search_message_id = connection.search(
        base,
        "(objectClass=puppetClient)",
        attributes=["*", "entryUUID", "entryCSN"],
        dereference_aliases=DEREF_NEVER,
        controls=[SYNC_REQUEST],
    )
found = 0
while found < int(count):
    found += strategy.events.get(timeout=60)["type"] == "searchResEntry"
print(time.perf_counter() - began, found)
