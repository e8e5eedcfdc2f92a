"""The segments that every merchant has: by gender and age. They can't be changed."""

from uuid import UUID, uuid5

from astronote.contacts.v1.audience_pb2 import AgeCondition, Rule
from astronote.contacts.v1.segments_pb2 import Segment

_NAMESPACE = UUID("6b0d7c1e-93f5-4c0c-9d55-1e6a8a7c2f10")


def _ours(name: str, rule: Rule) -> Segment:
    return Segment(id=str(uuid5(_NAMESPACE, name)), name=name, rule=rule, system=True)


SYSTEM = {
    segment.id: segment
    for segment in (
        _ours("Male", Rule(gender="MALE")),
        _ours("Female", Rule(gender="FEMALE")),
        _ours("Other", Rule(gender="OTHER")),
        _ours("Prefer not to say", Rule(gender="PREFER_NOT_TO_SAY")),
        _ours("18–24", Rule(age_between=AgeCondition(min=18, max=24))),
        _ours("25–39", Rule(age_between=AgeCondition(min=25, max=39))),
        _ours("40+", Rule(age_between=AgeCondition(min=40))),
    )
}
