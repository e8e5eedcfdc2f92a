"""Every setting is explained, where it is defined, and so on the page that operators read."""

import importlib
from typing import Any

import pytest

from deploy import settings
from kit.config import MeshSettings, ServiceSettings

CLASSES: list[Any] = [
    MeshSettings,
    ServiceSettings,
    *(importlib.import_module(f"services.{name}.settings").Settings for name in settings.SERVICES),
]


def test_the_page_is_what_is_made_of_them() -> None:
    """`make settings`."""
    assert settings.FILE.read_text() == settings.text()


@pytest.mark.parametrize("each", CLASSES, ids=lambda each: each.__module__)
def test_every_setting_has_a_meaning(each: Any) -> None:
    own = settings.meanings(each)
    assert own
    assert [name for name, meaning in own.items() if name in each.model_fields and not meaning] == []


def test_every_setting_is_on_the_page_once_for_each_who_reads_it() -> None:
    page = settings.text()
    for each in CLASSES:
        for name in each.model_fields:
            assert f"| `{name.upper()}` |" in page, name
