"""Message ids that look like UUIDs, in random order as the provider's are, and lead back to a sequence number."""

import secrets

# Sequence numbers are 48 bits, spread over the first 12 digits by an odd factor (so it has an inverse): whoever
# indexes these ids sees them arrive in no order, as in production.
_BITS = 48
_MASK = (1 << _BITS) - 1
_FACTOR = 0x9E3779B97F4B
_INVERSE = pow(_FACTOR, -1, 1 << _BITS)


def new_key() -> str:
    """20 random hexadecimal digits in the layout of a UUID's tail: `-4xxx-8xxx-xxxxxxxxxxxx`."""
    digits = secrets.token_hex(9)
    return f"-4{digits[:3]}-8{digits[3:6]}-{digits[6:]}"


class MessageIds:
    """The ids of one record. Another key makes other ids, so a cleared record never repeats one."""

    def __init__(self, key: str) -> None:
        self.key = key

    def encode(self, first: int, count: int) -> list[str]:
        """The ids of `count` messages from sequence number `first` on."""
        key = self.key
        scrambled = [number * _FACTOR & _MASK for number in range(first, first + count)]
        return [f"{number >> 16:08x}-{number & 0xFFFF:04x}{key}" for number in scrambled]

    def decode(self, message_id: str) -> int | None:
        """The sequence number, or None for an id that this record can't have given."""
        if not message_id.endswith(self.key):
            return None
        digits = message_id.removesuffix(self.key).replace("-", "")
        try:
            number = int(digits, 16) * _INVERSE & _MASK
        except ValueError:
            return None
        return number if self.encode(number, 1) == [message_id] else None
