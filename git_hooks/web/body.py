"""The body of a request as a file that git reads: bounded, whatever its encoding.

It is taken whole before git starts. So a slow client holds a file, and no lock
of git's; what breaks off half-way never reaches git; and git can write its
answer while nobody has to feed it. gzip (git compresses long requests) is
undone here and not by git, so that the bound holds for what git reads. The
bound is ours: Flask's cuts a body in chunks off without a word.
"""

from __future__ import annotations

import tempfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO, BinaryIO, Protocol

from werkzeug.exceptions import BadRequest, RequestEntityTooLarge, UnsupportedMediaType

from enc.web.server import BROKEN_OFF

_PIECE = 65_536


class Source(Protocol):
    """Where a body comes from (`request.stream`)."""

    def read(self, size: int, /) -> bytes:
        """Return up to `size` bytes, none at the end."""
        ...


@contextmanager
def taken(source: Source, length: int | None, encoding: str, limit: int) -> Iterator[tuple[IO[bytes], int]]:
    """Give a file at its beginning, with at most `limit` bytes of the body, and its size.

    `length` is what the client announced (None: `source` knows its end), as
    sent. Raise `UnsupportedMediaType`, `RequestEntityTooLarge`, or `BadRequest`
    for what breaks off or is no sound gzip.
    """
    if encoding not in ("", "identity", "gzip", "x-gzip"):
        raise UnsupportedMediaType("this Content-Encoding is not taken, only gzip")
    if length is not None and length > limit:
        raise RequestEntityTooLarge(f"the request is larger than {limit} bytes (branches.transport.upload_bytes)")
    with tempfile.TemporaryFile(prefix="puppetmaster-push-") as stream:
        pieces = _pieces(source, length, limit)
        size = _unpacked(pieces, stream, limit) if encoding.endswith("gzip") else _copied(pieces, stream, limit)
        stream.seek(0)
        yield stream, size


def _pieces(source: Source, length: int | None, limit: int) -> Iterator[bytes]:
    left = limit + 1 if length is None else length
    while left > 0:
        try:
            piece = source.read(min(_PIECE, left))
        except BROKEN_OFF as error:
            raise BadRequest("the request broke off") from error
        if not piece:
            if length is not None:
                raise BadRequest("the request broke off")
            return
        left -= len(piece)
        yield piece


def _copied(pieces: Iterator[bytes], stream: BinaryIO | IO[bytes], limit: int) -> int:
    size = 0
    for piece in pieces:
        size += _written(piece, stream, size, limit)
    return size


def _unpacked(pieces: Iterator[bytes], stream: BinaryIO | IO[bytes], limit: int) -> int:
    size = 0
    unpacker = zlib.decompressobj(16 + zlib.MAX_WBITS)
    try:
        for piece in pieces:
            while piece and not unpacker.eof:
                size += _written(unpacker.decompress(piece, _PIECE), stream, size, limit)
                piece = unpacker.unconsumed_tail
    except zlib.error as error:
        raise BadRequest("the request is no sound gzip") from error
    # At the bound of its own input, zlib may still hold what it has unpacked.
    size += _written(unpacker.flush(_PIECE), stream, size, limit)
    if not unpacker.eof or unpacker.unused_data:
        raise BadRequest("the request is no sound gzip")
    return size


def _written(piece: bytes, stream: BinaryIO | IO[bytes], size: int, limit: int) -> int:
    if size + len(piece) > limit:
        raise RequestEntityTooLarge(f"the request is larger than {limit} bytes (branches.transport.upload_bytes)")
    stream.write(piece)
    return len(piece)
