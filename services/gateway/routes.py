"""Which method a path leads to: a tree of path segments, built from the `google.api.http` options.

A path is taken apart while it is still percent-encoded, so that an encoded slash or colon is a character of an id and
never a separator. The part after a colon of the last segment is a custom verb.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from urllib.parse import unquote_to_bytes

from google.api import annotations_pb2, http_pb2

from services.gateway.contracts import Method
from services.gateway.errors import ContractInvalid, PathInvalid, RouteNotFound, VerbNotAllowed

VARIABLE = re.compile(r"\{([a-z0-9_.]+)(?:=\*)?\}")
TEMPLATE = re.compile(r"/(?!/)[A-Za-z0-9_.{}=*/-]+(:[A-Za-z]+)?")
ENCODED = re.compile(rb"%(?![0-9A-Fa-f]{2})")
FORBIDDEN = re.compile("[\x00-\x1f\x7f]")
SEGMENTS_MAX = 16


@dataclass(frozen=True, eq=False)
class Route:
    """One binding of a method: `body` is `*`, a field of the request, or empty."""

    verb: str
    template: str
    body: str
    method: Method
    variables: tuple[str, ...] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "variables", tuple(VARIABLE.findall(self.template)))

    def __str__(self) -> str:
        return f"{self.verb} {self.template}"


@dataclass
class Node:
    """Where a path may go on, and, by custom verb and then HTTP method, where it may end."""

    literals: dict[str, "Node"] = field(default_factory=dict)
    variable: "Node | None" = None
    ends: dict[str, dict[str, Route]] = field(default_factory=dict)


def of(method: Method) -> Iterator[Route]:
    """The routes of a method; none where it has no `google.api.http` option, or is internal."""
    option = method.descriptor.GetOptions().Extensions[annotations_pb2.http]
    for rule in (option, *option.additional_bindings):
        if method.role and (kind := rule.WhichOneof("pattern")):
            yield _route(method, rule, kind)


def _route(method: Method, rule: http_pb2.HttpRule, kind: str) -> Route:
    verb, template = (rule.custom.kind, rule.custom.path) if kind == "custom" else (kind.upper(), getattr(rule, kind))
    if rule.response_body:
        raise ContractInvalid(f"{method.path}: response_body is not carried")
    return Route(verb, template, rule.body, method)


class Table:
    """Every route. Two that the same request could mean are refused."""

    def __init__(self, routes: Sequence[Route]) -> None:
        self.routes = list(routes)
        self._root = Node()
        for route in routes:
            self._add(route)

    def _add(self, route: Route) -> None:
        path, custom_verb = _split(route.template)
        if not TEMPLATE.fullmatch(route.template):
            raise ContractInvalid(f"{route.method.path}: {route.template} is not carried")
        node = self._root
        for segment in path:
            if VARIABLE.fullmatch(segment):
                node.variable = node.variable or Node()
                node = node.variable
            elif "{" in segment or "*" in segment:
                raise ContractInvalid(f"{route.method.path}: {route.template} is not carried")
            else:
                node = node.literals.setdefault(segment, Node())
        ends = node.ends.setdefault(custom_verb, {})
        if other := ends.get(route.verb):
            raise ContractInvalid(f"{route.verb} {route.template}: both {other.method.path} and {route.method.path}")
        ends[route.verb] = route
        if route.verb == "GET" and not route.method.answers_stream:
            # The server leaves the body out.
            ends["HEAD"] = route

    def match(self, verb: str, raw_path: bytes) -> tuple[Route, list[str]]:
        """The route, and the text of each of its variables. `raw_path` is as it came, percent-encoded, no query.

        Refuses `RouteNotFound`, `VerbNotAllowed`, `PathInvalid`.
        """
        allowed: set[str] = set()
        for ends, values in self._ends(raw_path):
            if route := ends.get(verb):
                return route, values
            allowed |= ends.keys()
        raise VerbNotAllowed(allow=_listed(allowed)) if allowed else RouteNotFound

    def verbs(self, raw_path: bytes) -> str:
        """What may be done there, as `Allow` says it. Refuses `RouteNotFound`, `PathInvalid`."""
        allowed = {verb for ends, _ in self._ends(raw_path) for verb in ends}
        if not allowed:
            raise RouteNotFound
        return _listed(allowed)

    def _ends(self, raw_path: bytes) -> Iterator[tuple[dict[str, Route], list[str]]]:
        segments, custom_verb = _segments(raw_path)
        for node, values in _walk(self._root, segments, 0):
            yield node.ends.get(custom_verb, {}), values


def _listed(verbs: set[str]) -> str:
    return ", ".join(sorted({*verbs, "OPTIONS"}))


def _segments(raw_path: bytes) -> tuple[list[str], str]:
    """The segments of a path, decoded, and its custom verb. Refuses `RouteNotFound`, `PathInvalid`."""
    if ENCODED.search(raw_path):
        raise PathInvalid
    try:
        path, custom_verb = _split(raw_path.decode("ascii"))
        segments = [unquote_to_bytes(segment).decode() for segment in path] if b"%" in raw_path else path
    except UnicodeDecodeError as error:
        raise PathInvalid from error
    if FORBIDDEN.search("".join(segments)):
        raise PathInvalid
    # A dot segment is resolved by who makes a URL (RFC 3986); what still stands here would step aside of a check.
    if len(segments) > SEGMENTS_MAX or not {"", ".", ".."}.isdisjoint(segments):
        raise RouteNotFound
    return segments, custom_verb


def _split(path: str) -> tuple[list[str], str]:
    """Segments and custom verb. A colon that an id holds comes encoded, since it is no separator then."""
    head, slash, last = path.rpartition("/")
    last, colon, custom_verb = last.partition(":")
    return f"{head}{slash}{last}".split("/")[1:], custom_verb or colon


def _walk(node: Node, segments: list[str], depth: int) -> Iterator[tuple[Node, list[str]]]:
    """Every node that the path may mean, literal segments before variables."""
    if depth == len(segments):
        yield node, []
        return
    if literal := node.literals.get(segments[depth]):
        yield from _walk(literal, segments, depth + 1)
    if node.variable:
        for found, values in _walk(node.variable, segments, depth + 1):
            yield found, [segments[depth], *values]
