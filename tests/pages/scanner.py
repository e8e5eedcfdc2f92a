"""A till's scanner: reads a QR code of version 1 (ISO/IEC 18004) off a picture of the screen; it corrects no errors."""

import struct
import zlib
from collections.abc import Iterator

SIZE = 21
MASKS = [
    lambda row, column: (row + column) % 2 == 0,
    lambda row, column: row % 2 == 0,
    lambda row, column: column % 3 == 0,
    lambda row, column: (row + column) % 3 == 0,
    lambda row, column: (row // 2 + column // 3) % 2 == 0,
    lambda row, column: row * column % 2 + row * column % 3 == 0,
    lambda row, column: (row * column % 2 + row * column % 3) % 2 == 0,
    lambda row, column: ((row + column) % 2 + row * column % 3) % 2 == 0,
]
NUMERIC = 0b0001


def scanned(png: bytes) -> str:
    """The figures of the code that fills the dark part of the picture."""
    dark = _modules(_pixels(png))
    # Format information, beside the upper left finder, is itself masked with 101010000010010: bits 12 to 10 of it.
    bits = [dark[8][2], dark[8][3], dark[8][4]]
    mask = MASKS[int("".join("01"[bit] for bit in bits), 2) ^ 0b101]
    stream = "".join("01"[dark[row][column] != mask(row, column)] for row, column in _path())
    assert int(stream[:4], 2) == NUMERIC
    length, rest, figures = int(stream[4:14], 2), stream[14:], ""
    while len(figures) < length:
        count = min(3, length - len(figures))
        width = (0, 4, 7, 10)[count]
        figures += f"{int(rest[:width], 2):0{count}d}"
        rest = rest[width:]
    return figures


def _path() -> Iterator[tuple[int, int]]:
    """The places of the data, in their order: up and down in pairs of columns from the right."""
    upward = True
    for right in (20, 18, 16, 14, 12, 10, 8, 5, 3, 1):
        rows = range(SIZE)[::-1] if upward else range(SIZE)
        yield from ((row, column) for row in rows for column in (right, right - 1) if _holds_data(row, column))
        upward = not upward


def _holds_data(row: int, column: int) -> bool:
    finders = (row < 9 and (column < 9 or column > 12)) or (row > 12 and column < 9)
    return not finders and row != 6 and column != 6


def _modules(pixels: list[list[bool]]) -> list[list[bool]]:
    rows = [y for y, line in enumerate(pixels) if any(line)]
    columns = [x for x in range(len(pixels[0])) if any(line[x] for line in pixels)]
    top, left, step = rows[0], columns[0], (columns[-1] - columns[0] + 1) / SIZE
    centre = [int((number + 0.5) * step) for number in range(SIZE)]
    return [[pixels[top + y][left + x] for x in centre] for y in centre]


def _pixels(png: bytes) -> list[list[bool]]:
    """Which pixels are dark; of a PNG of eight bits a channel, not interlaced."""
    width, height, depth, kind = struct.unpack(">IIBB", png[16:26])
    assert depth == 8
    size, at, packed = {2: 3, 6: 4}[kind], 8, b""
    while at < len(png):
        length, name = struct.unpack(">I4s", png[at : at + 8])
        packed += png[at + 8 : at + 8 + length] if name == b"IDAT" else b""
        at += length + 12
    raw, above, lines = zlib.decompress(packed), bytearray(width * size), []
    for number in range(height):
        start = number * (width * size + 1)
        above = _unfiltered(raw[start], bytearray(raw[start + 1 : start + 1 + width * size]), above, size)
        lines.append([sum(above[x * size : x * size + 3]) < 384 for x in range(width)])
    return lines


def _unfiltered(kind: int, line: bytearray, above: bytearray, size: int) -> bytearray:
    for at in range(len(line)):
        left, corner = (line[at - size], above[at - size]) if at >= size else (0, 0)
        nearest = min((left, above[at], corner), key=lambda value: abs(left + above[at] - corner - value))
        line[at] = (line[at] + (0, left, above[at], (left + above[at]) // 2, nearest)[kind]) & 255
    return line
