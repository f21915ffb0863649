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
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import IO, BinaryIO, Protocol

from werkzeug.exceptions import BadRequest, RequestEntityTooLarge, ServiceUnavailable, UnsupportedMediaType

from enc.web.server import BROKEN_OFF

_PIECE = 65_536


class Source(Protocol):
    """Where a body comes from (`request.stream`)."""

    def read(self, size: int, /) -> bytes:
        """Return up to `size` bytes, none at the end."""
        ...


Room = Callable[[int], None]
"""Is told how many bytes more are to be kept; raises if there is no room for them."""


@contextmanager
def taken(
    source: Source, length: int | None, encoding: str, limit: int, room: Room = lambda _: None
) -> Iterator[tuple[IO[bytes], int]]:
    """Give a file at its beginning, with at most `limit` bytes of the body, and its size.

    `length` is what the client announced (None: `source` knows its end), as
    sent. Raise `UnsupportedMediaType`, `RequestEntityTooLarge`, or `BadRequest`
    for what breaks off or is no sound gzip, `ServiceUnavailable` for a full
    disk, and what `room` raises.
    """
    if encoding not in ("", "identity", "gzip", "x-gzip"):
        raise UnsupportedMediaType("this Content-Encoding is not accepted, only gzip")
    if length is not None and length > limit:
        raise RequestEntityTooLarge(f"the request is larger than {limit} bytes")
    with tempfile.TemporaryFile(prefix="puppetmaster-push-") as stream:
        pieces, kept = _pieces(source, length, limit), _File(stream, limit, room)
        if encoding.endswith("gzip"):
            _unpack(pieces, kept)
        else:
            for piece in pieces:
                kept.write(piece)
        size = kept.size
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


def _unpack(pieces: Iterator[bytes], kept: _File) -> None:
    unpacker = zlib.decompressobj(16 + zlib.MAX_WBITS)
    try:
        for piece in pieces:
            while piece and not unpacker.eof:
                kept.write(unpacker.decompress(piece, _PIECE))
                piece = unpacker.unconsumed_tail
    except zlib.error as error:
        raise BadRequest("the request is not valid gzip") from error
    # At the bound of its own input, zlib may still hold what it has unpacked.
    kept.write(unpacker.flush(_PIECE))
    if not unpacker.eof or unpacker.unused_data:
        raise BadRequest("the request is not valid gzip")


class _File:
    """What is kept of one body."""

    def __init__(self, stream: BinaryIO | IO[bytes], limit: int, room: Room) -> None:
        self._stream = stream
        self._limit = limit
        self._room = room
        self.size = 0

    def write(self, piece: bytes) -> None:
        """Keep `piece`, or raise what says why not."""
        if self.size + len(piece) > self._limit:
            raise RequestEntityTooLarge(f"the request is larger than {self._limit} bytes")
        self._room(len(piece))
        self.size += len(piece)
        try:
            self._stream.write(piece)
            self._stream.flush()
        except OSError as error:
            raise ServiceUnavailable(f"the request cannot be stored here: {error.strerror}") from error
