"""The tools of the harness: crash points, and the patches that take a guard out."""

import re
import subprocess
from collections import Counter
from pathlib import Path

import pytest

from kit import crash
from tests.crash import mutation
from tests.crash.runs import POINTS


def test_a_plan_fires_once_at_its_pass_and_says_in_whom(tmp_path: Path) -> None:
    plan = tmp_path / "plan"
    point = crash.planned(plan)
    point("sender.intent")
    plan.write_text("sender.intent error 2")
    point("sender.taken")
    point("sender.intent")
    with pytest.raises(crash.InjectedError):
        point("sender.intent")
    point("sender.intent")
    assert [file.name.partition(".")[0] for file in tmp_path.iterdir()] == ["plan"]
    assert not plan.exists()


def test_no_plan_is_no_code() -> None:
    assert crash.point is crash._nothing


def test_every_point_stands_once_in_the_code() -> None:
    code = (path for folder in ("kit", "services") for path in (mutation.ROOT / folder).rglob("*.py"))
    source = "".join(path.read_text() for path in code)
    assert Counter(re.findall(r'crash\.point\("([^"]+)"\)', source)) == Counter(POINTS)


@pytest.mark.parametrize("mutant", mutation.mutants(), ids=lambda mutant: mutant.patch.stem)
def test_every_patch_still_finds_its_guard(mutant: mutation.Mutant, tmp_path: Path) -> None:
    (name,) = re.findall(r"^--- a/(.+)$", mutant.patch.read_text(), re.MULTILINE)
    copied = tmp_path / name
    copied.parent.mkdir(parents=True)
    copied.write_text((mutation.ROOT / name).read_text())
    try:
        mutation.apply(mutant, tmp_path)
    except subprocess.CalledProcessError as error:
        pytest.fail(f"{mutant.patch.name} has to follow the code: {error.stdout}")
    compile(copied.read_text(), name, "exec")
