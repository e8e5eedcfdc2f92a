"""The contracts' tool: `python -m deploy.protos generate | check | release`.

`generate` makes `gen/` from `protos/`; `check` lints the protos, holds them against the released contract, and fails
where `gen/` is not what they make; `release` moves that contract to what stands now.
"""

import filecmp
import json
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from google.protobuf.descriptor_pb2 import FileDescriptorProto, FileDescriptorSet

from deploy import refusals

PROTOS, GENERATED, RELEASED = Path("protos"), Path("gen"), Path("protos/released.binpb")
# What an example of a field is, by its name: for the API's documentation.
EXAMPLES = "examples.json"
# The path of a file's package statement; the comment above it is what the package says of itself.
PACKAGE = [2]


def main() -> int:
    command = sys.argv[1] if len(sys.argv) == 2 else ""
    match command:
        case "generate":
            shutil.rmtree(GENERATED, ignore_errors=True)
            return generate(GENERATED)
        case "check":
            return format_and_lint() or breaking() or fresh()
        case "release":
            return image(RELEASED)
        case _:
            sys.exit(__doc__)


def generate(target: Path) -> int:
    target.mkdir(parents=True, exist_ok=True)
    outputs = [f"--{kind}={target}" for kind in ("python_out", "grpc_python_out")]
    outputs += [f"--{kind}=quiet:{target}" for kind in ("mypy_out", "mypy_grpc_out")]
    said = target / "astronote" / "comments.json"
    if code := protoc(*outputs) or comments(said) or refusals.write(said, said.with_name("refusals.json")):
        return code
    shutil.copyfile(PROTOS / EXAMPLES, said.with_name(EXAMPLES))
    return 0


def comments(path: Path) -> int:
    """Writes what the protos say in words, by full name, for the API's documentation: the descriptors that run have
    lost it.
    """
    with tempfile.TemporaryDirectory() as folder:
        described = Path(folder, "described.binpb")
        if code := protoc("--include_source_info", f"--descriptor_set_out={described}"):
            return code
        files = FileDescriptorSet.FromString(described.read_bytes()).file
    found = {name: words for file in files for name, words in said(file)}
    path.write_text(json.dumps(found, ensure_ascii=False, indent=1, sort_keys=True) + "\n")
    return 0


def said(file: FileDescriptorProto) -> Iterator[tuple[str, str]]:
    for location in file.source_code_info.location:
        if words := "\n".join(line.strip() for line in location.leading_comments.splitlines()).strip():
            if list(location.path) == PACKAGE:
                yield file.package, words
            elif len(location.path) % 2 == 0:
                yield full_name(file, location.path), words


def full_name(file: FileDescriptorProto, path: Sequence[int]) -> str:
    """A path leads down by pairs: the number of a repeated field, and an index in it."""
    node: Any = file
    names = [file.package]
    for number, index in zip(path[::2], path[1::2], strict=True):
        node = getattr(node, node.DESCRIPTOR.fields_by_number[number].name)[index]
        names.append(node.name)
    return ".".join(names)


def image(path: Path, *, comments: bool = False) -> int:
    """Writes the descriptors with all their imports, so that buf needs no network to find Google's."""
    return protoc("--include_imports", *(["--include_source_info"] if comments else []), f"--descriptor_set_out={path}")


def format_and_lint() -> int:
    with tempfile.TemporaryDirectory() as folder:
        current = Path(folder, "current.binpb")
        return (
            buf("format", "--diff", "--exit-code")
            or image(current, comments=True)
            or buf("lint", str(current), "--config", "buf.yaml")
        )


def breaking() -> int:
    with tempfile.TemporaryDirectory() as folder:
        current = Path(folder, "current.binpb")
        return image(current) or buf("breaking", str(current), "--against", str(RELEASED), "--config", "buf.yaml")


def fresh() -> int:
    with tempfile.TemporaryDirectory() as folder:
        made = Path(folder, "gen")
        if code := generate(made):
            return code
        stale = differing(filecmp.dircmp(GENERATED, made, ignore=["__pycache__"]))
    if stale:
        sys.stderr.write(f"gen/ is not what protos/ makes (run `make protos`): {', '.join(sorted(stale))}\n")
    return 1 if stale else 0


def differing(comparison: "filecmp.dircmp[str]") -> list[str]:
    names = [*comparison.left_only, *comparison.right_only, *comparison.diff_files]
    return names + [name for inner in comparison.subdirs.values() for name in differing(inner)]


def protoc(*options: str) -> int:
    sources = sorted(str(path) for path in PROTOS.rglob("*.proto"))
    compiler = [sys.executable, "-m", "grpc_tools.protoc"]
    includes = [f"-I{PROTOS}", f"-I{_package('google') / '..'}", f"-I{_package('grpc_tools') / '_proto'}"]
    plugins = [f"--plugin={Path(sys.executable).parent / name}" for name in ("protoc-gen-mypy", "protoc-gen-mypy_grpc")]
    return subprocess.run([*compiler, *includes, *plugins, *options, *sources], check=False).returncode  # noqa: S603


def buf(*arguments: str) -> int:
    return subprocess.run([str(Path(sys.executable).parent / "buf"), *arguments], check=False).returncode  # noqa: S603


def _package(name: str) -> Path:
    spec = find_spec(name)
    assert spec is not None
    assert spec.submodule_search_locations
    return Path(next(iter(spec.submodule_search_locations)))


if __name__ == "__main__":
    sys.exit(main())
