"""Every route of the contracts, as requests: what is added later is attacked as well."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from google.api.annotations_pb2 import http

from astronote.options.v1.options_pb2 import Access, access
from tests.test_architecture import METHODS

SOME_ID = "0b5e7a52-3d0a-4e0c-9a52-8d4f6f7a1b11"


@dataclass(frozen=True)
class Target:
    verb: str
    path: str
    caller: "Access.Caller.ValueType"


def targets() -> Iterator[Target]:
    for method in METHODS:
        option = method.GetOptions().Extensions[http]
        for rule in (option, *option.additional_bindings):
            if verb := rule.WhichOneof("pattern"):
                path = re.sub(r"\{[^}]*\}", SOME_ID, getattr(rule, verb))
                yield Target(verb.upper(), path, method.GetOptions().Extensions[access].caller)


MERCHANTS = [target for target in targets() if target.caller == Access.MERCHANT]
OPERATORS = [target for target in targets() if target.caller == Access.OPERATOR]
