"""Text in two or four octets for each letter, as UTF-8. Pure.

With a mark at its beginning it says so itself. Without one it is told by its zeros: of text that is mostly ASCII they
are half of all octets, or more, and what is left can be read.
"""

from __future__ import annotations

import codecs

_READABLE = bytes([*range(0x20, 0x7F), *b"\t\n\r"])


def as_utf8(content: bytes) -> bytes:
    """Return `content` as UTF-8 if it is text in UTF-16 or UTF-32, else as it is."""
    for mark, encoding in ((codecs.BOM_UTF16_LE, "utf-16-le"), (codecs.BOM_UTF16_BE, "utf-16-be")):
        if content.startswith(mark) and not content.startswith(codecs.BOM_UTF32_LE):
            return content[2:].decode(encoding, "replace").encode("utf-8", "replace")
    zeros = content.count(0)
    if zeros * 5 < len(content) * 2 or not zeros:
        return content
    without = content.replace(b"\0", b"")
    unreadable = len(without.translate(None, _READABLE))
    return without if unreadable * 10 <= len(without) else content
