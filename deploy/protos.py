"""The contracts' tool: `python -m deploy.protos generate | check | release`.

`generate` makes `gen/` from `protos/`; `check` lints the protos, holds them against the released contract, and fails
where `gen/` is not what they make; `release` moves that contract to what stands now.
"""

import filecmp
import shutil
import subprocess
import sys
import tempfile
from importlib.util import find_spec
from pathlib import Path

PROTOS, GENERATED, RELEASED = Path("protos"), Path("gen"), Path("protos/released.binpb")


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
    return protoc(*outputs)


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
