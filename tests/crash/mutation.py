"""`make mutants`: every guard of the send path is taken out once, and a test has to notice.

A patch in `mutants/` says in its head what it removes and which test dies of it. It is applied to a copy of the tree;
the same tests pass on a copy that is whole, or the run proves nothing. The table goes to `docs/mutants.md`.
"""

import argparse
import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table

ROOT = Path(__file__).parents[2]
PATCHES = Path(__file__).with_name("mutants")
TABLE = ROOT / "docs" / "mutants.md"
TEST_SECONDS_MAX = 600
HEAD = """\
# Mutants: what each guard is good for

`make mutants` takes one guard out at a time, in a copy of the tree, and runs the test that has to fail. The same tests
pass on the tree as it is. A mutant that survives means that the test lies. This table is written by that run.

| Guard | Patch (`tests/crash/mutants/`) | Test | Killed by |
|---|---|---|---|
"""
console = Console(soft_wrap=True)


@dataclass(frozen=True)
class Mutant:
    """`guard` says what is removed; `test` is pytest's name of the test that dies of it, quoted for a shell."""

    patch: Path
    guard: str
    test: str

    @classmethod
    def read(cls, patch: Path) -> "Mutant":
        head = dict(re.findall(r"^(Guard|Test): (.+)$", patch.read_text(), re.MULTILINE))
        return cls(patch, head["Guard"], head["Test"])


def mutants(only: str = "") -> list[Mutant]:
    return [Mutant.read(patch) for patch in sorted(PATCHES.glob("*.patch")) if only in patch.name]


def copy_tree(target: Path) -> None:
    """Everything that is or would be in the repository, with our virtual environment."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    )
    for name in filter(None, listed.stdout.split("\0")):
        source, copied = ROOT / name, target / name
        if source.is_file():
            copied.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(source, copied)
    (target / ".venv").symlink_to((ROOT / ".venv").resolve())


def apply(mutant: Mutant, tree: Path) -> None:
    """Raises CalledProcessError where the code has moved on and the patch has to follow."""
    command = ["patch", "-p1", "--force", "--silent", "--no-backup-if-mismatch", "-i", str(mutant.patch)]
    subprocess.run(command, cwd=tree, check=True, capture_output=True, text=True)


def run(tree: Path, *tests: str) -> str:
    """What the first failing test died of; empty where they pass."""
    command = [str(tree / ".venv/bin/python"), "-m", "pytest", "-x", "-q", "-rfE", "-p", "no:cacheprovider"]
    environment = {**os.environ, "PYTHONPATH": f"{tree}:{tree / 'gen'}", "COLUMNS": "400"}
    try:
        done = subprocess.run(
            [*command, *shlex.split(" ".join(tests))],
            cwd=tree,
            env=environment,
            capture_output=True,
            text=True,
            timeout=TEST_SECONDS_MAX,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return f"no end within {TEST_SECONDS_MAX} s"
    if done.returncode == 0:
        return ""
    if done.returncode != 1:
        raise RuntimeError(f"{tests}: pytest could not run it\n{done.stdout[-3000:]}{done.stderr[-1000:]}")
    found = re.search(r"^(?:FAILED|ERROR) \S.*? - (.+)$", done.stdout, re.MULTILINE)
    return found.group(1).removeprefix("AssertionError: ") if found else "a failing test"


def main() -> int:
    parser = argparse.ArgumentParser(prog="make mutants", description=__doc__)
    parser.add_argument("--only", default="", help="a part of the patch's name; writes no table")
    parser.add_argument("--at-once", type=int, default=2)
    options = parser.parse_args()
    chosen = mutants(options.only)
    with tempfile.TemporaryDirectory(prefix="astronote-mutants-") as folder:
        whole = Path(folder) / "whole"
        copy_tree(whole)
        console.print("the tests on the tree as it is …")
        if cause := run(whole, *dict.fromkeys(each.test for each in chosen)):
            console.print(f"[red]✗[/] they fail on the tree as it is: {cause}")
            return 1

        def kill(mutant: Mutant) -> str:
            tree = Path(folder) / mutant.patch.stem
            copy_tree(tree)
            apply(mutant, tree)
            cause = run(tree, mutant.test)
            shutil.rmtree(tree)
            console.print(f"[{'green]killed' if cause else 'red]ALIVE'}[/] {mutant.guard} [dim]{cause[:200]}[/]")
            return cause

        with ThreadPoolExecutor(options.at_once) as pool:
            killed = dict(zip(chosen, pool.map(kill, chosen), strict=True))
    table = Table("guard", "killed by")
    for mutant, cause in killed.items():
        table.add_row(mutant.guard, cause[:160] or "[red]nothing: it survives[/]")
    console.print(table)
    if not options.only:
        TABLE.write_text(HEAD + "".join(_row(mutant, cause) for mutant, cause in killed.items()))
    return int(not all(killed.values()))


def _row(mutant: Mutant, cause: str) -> str:
    (test,) = shlex.split(mutant.test)
    name = test.rpartition("[")[2].rstrip("]") if "[" in test else test.rpartition("::")[2]
    # What varies from run to run (ids, phones, figures) would make the table change for nothing.
    brief = "; ".join(part.partition(": ")[0] for part in cause.split("; "))[:200]
    brief = "its assertion" if brief.startswith("assert ") else re.sub(r"(^|; )\d+ ", r"\1", brief)
    return f"| {mutant.guard} | `{mutant.patch.name}` | `{name}` | {brief or '**nothing**'} |\n"


if __name__ == "__main__":
    sys.exit(main())
