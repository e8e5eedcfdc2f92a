"""The encoding of a text file, found as its bytes arrive."""

import codecs
import re

# How much is looked at before an encoding is believed.
SAMPLE_BYTES = 4096
MARKS = {codecs.BOM_UTF8: "utf-8", codecs.BOM_UTF16_LE: "utf-16-le", codecs.BOM_UTF16_BE: "utf-16-be"}
NOT_ASCII = re.compile(rb"[\x80-\xff]")
# What stands in the high byte of Latin and Greek letters in UTF-16.
_HIGH_BYTES = frozenset((0x00, 0x03, 0x1F))


class Undecodable(Exception):
    """The bytes are no text of the encoding found; `before` is what could be read of the piece."""

    def __init__(self, before: str, found: str) -> None:
        super().__init__(found)
        self.before, self.found = before, found


class Decoder:
    """Takes the pieces of a file and gives its text.

    A byte order mark decides; without one, NULs at every second place mean UTF-16. Everything else is read as ASCII up
    to the first byte that is none: if what follows there is no UTF-8, the file is in Windows-1253. So a name on the
    last row is read right, and memory stays at one sample and one piece.
    """

    def __init__(self) -> None:
        #: Python's name; `ascii` while nothing has shown more, empty before the first sample.
        self.encoding = ""
        self._decoder: codecs.IncrementalDecoder | None = None
        self._held = b""

    def decode(self, piece: bytes, *, is_last: bool = False) -> str:
        """Raises `Undecodable`."""
        if self._decoder is not None:
            return self._decoded(piece, is_last=is_last)
        self._held += piece
        if not self.encoding:
            if len(self._held) < SAMPLE_BYTES and not is_last:
                return ""
            self._begin()
        return self._taken(is_last=is_last)

    def _begin(self) -> None:
        for mark, encoding in MARKS.items():
            if self._held.startswith(mark):
                self._held = self._held.removeprefix(mark)
                self._choose(encoding)
                return
        if encoding := _utf16(self._held[:SAMPLE_BYTES]):
            self._choose(encoding)
        else:
            self.encoding = "ascii"

    def _taken(self, *, is_last: bool) -> str:
        """What of the held bytes can be read already."""
        data, self._held = self._held, b""
        if self._decoder is not None:
            return self._decoded(data, is_last=is_last)
        letter = NOT_ASCII.search(data)
        if letter is None:
            return self._checked(data.decode("ascii"))
        head, tail = data[: letter.start()], data[letter.start() :]
        if len(tail) < SAMPLE_BYTES and not is_last:
            self._held = tail
            return self._checked(head.decode("ascii"))
        self._choose("utf-8" if _is_utf8(tail) else "cp1253")
        # In one go, so that what is said of a byte that can't be read counts from the beginning.
        return self._decoded(head + tail, is_last=is_last)

    def _choose(self, encoding: str) -> None:
        self.encoding = encoding
        self._decoder = codecs.getincrementaldecoder(encoding)()

    def _decoded(self, piece: bytes, *, is_last: bool) -> str:
        assert self._decoder is not None
        before = self._decoder.getstate()[0]
        try:
            text = self._decoder.decode(piece, final=is_last)
        except UnicodeDecodeError as error:
            readable = (before + piece)[: error.start].decode(self.encoding, "ignore")
            raise Undecodable(readable, f"bytes that are no {self.encoding.upper()}") from error
        return self._checked(text)

    @staticmethod
    def _checked(text: str) -> str:
        if "\x00" in text:
            raise Undecodable(text[: text.index("\x00")], "a NUL character")
        return text


def _is_utf8(sample: bytes) -> bool:
    """Also where it breaks off: three letters that are right by chance are no Windows-1253."""
    try:
        codecs.utf_8_decode(sample[:SAMPLE_BYTES], "strict", False)
    except UnicodeDecodeError as error:
        return sum(not letter.isascii() for letter in sample[: error.start].decode()) > 2
    return True


def _utf16(sample: bytes) -> str:
    """UTF-16's name where the sample looks like it, else empty."""
    for encoding, high, low in (("utf-16-le", sample[1::2], sample[::2]), ("utf-16-be", sample[::2], sample[1::2])):
        if 0 in high and 0 not in low and sum(byte in _HIGH_BYTES for byte in high) > 0.9 * len(high):
            return encoding
    return ""
