"""Message ids and the public codes in links.

An id is a 64-bit number: an origin bit, the batch's sequence (45 bits), the index in the batch (17 bits). Its code is
that number under a keyed permutation, in base 62, 11 characters: unguessable, and no table of links is needed.

The permutation is a Feistel network of four rounds (Luby and Rackoff: a strong pseudo-random permutation) over 32-bit
halves, with AES-128 as the round function. All codes of a batch go through each round at once.
"""

from collections.abc import Iterable

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

INDEX_BITS = 17
ROUNDS = 4
LENGTH = 11
PLACEHOLDER = "0" * LENGTH
DIGITS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_PAIRS = [high + low for high in DIGITS for low in DIGITS]
_VALUES = {digit: value for value, digit in enumerate(DIGITS)}


def first_message_id(batch_id: int) -> int:
    return batch_id << INDEX_BITS


def place(message_id: int) -> tuple[int, int]:
    """The batch of a message, and the index in it."""
    return message_id >> INDEX_BITS, message_id & ((1 << INDEX_BITS) - 1)


class Codes:
    """Codes under one key of 32 bytes."""

    def __init__(self, key: bytes) -> None:
        self._cipher = Cipher(algorithms.AES(key[:16]), modes.ECB())  # noqa: S305 (a round function, no text)

    def of_range(self, first_id: int, count: int) -> list[str]:
        """The codes of `count` ids in a row."""
        numbers = b"".join(id.to_bytes(8, "big") for id in range(first_id, first_id + count))
        permuted = self._permuted(numbers, range(ROUNDS))
        return [_base62(permuted[at : at + 8]) for at in range(0, len(permuted), 8)]

    def message_id(self, code: str) -> int | None:
        """The id that a code stands for; none for what can't be a code."""
        if len(code) != LENGTH or not all(character in _VALUES for character in code):
            return None
        number = 0
        for character in code:
            number = number * 62 + _VALUES[character]
        if number >= 1 << 64:
            return None
        swapped = number.to_bytes(8, "big")[4:] + number.to_bytes(8, "big")[:4]
        back = self._permuted(swapped, reversed(range(ROUNDS)))
        return int.from_bytes(back[4:] + back[:4], "big")

    def _permuted(self, numbers: bytes, rounds: Iterable[int]) -> bytes:
        """Feistel rounds over many 8-byte numbers side by side."""
        left = b"".join(numbers[at : at + 4] for at in range(0, len(numbers), 8))
        right = b"".join(numbers[at + 4 : at + 8] for at in range(0, len(numbers), 8))
        for number in rounds:
            left, right = right, _xor(left, self._round(right, number))
        joined = bytearray(len(numbers))
        for offset in range(4):
            joined[offset::8] = left[offset::4]
            joined[offset + 4 :: 8] = right[offset::4]
        return bytes(joined)

    def _round(self, half: bytes, number: int) -> bytes:
        blocks = bytearray(len(half) * 4)
        for offset in range(4):
            blocks[offset::16] = half[offset::4]
        blocks[4::16] = bytes([number + 1]) * (len(half) // 4)
        encryptor = self._cipher.encryptor()
        encrypted = encryptor.update(bytes(blocks)) + encryptor.finalize()
        out = bytearray(len(half))
        for offset in range(4):
            out[offset::4] = encrypted[offset::16]
        return bytes(out)


def _xor(a: bytes, b: bytes) -> bytes:
    return (int.from_bytes(a, "big") ^ int.from_bytes(b, "big")).to_bytes(len(a), "big")


def _base62(eight: bytes) -> str:
    number = int.from_bytes(eight, "big")
    number, a = divmod(number, 3844)
    number, b = divmod(number, 3844)
    number, c = divmod(number, 3844)
    number, d = divmod(number, 3844)
    number, e = divmod(number, 3844)
    return f"{DIGITS[number]}{_PAIRS[e]}{_PAIRS[d]}{_PAIRS[c]}{_PAIRS[b]}{_PAIRS[a]}"
