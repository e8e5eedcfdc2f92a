"""What PostgreSQL and NATS have in common: a server of a third party that is a child, in a folder of its own."""

import contextlib
import shutil
from abc import ABC, abstractmethod
from collections.abc import Iterator
from pathlib import Path
from typing import Self

from deploy.local.children import Child, Program


class Server(ABC):
    """For use with `with`. `place` is where its data really are; with `erase`, `stop` deletes it all: for tests."""

    def __init__(self, folder: Path, port: int, run_folder: Path | None, *, erase: bool):
        self.folder = folder.absolute()
        self.place = self.folder
        #: 0 picks a free one at each start.
        self.port = port
        self.child: Child | None = None
        self._wished_port = port
        self._run_folder = run_folder or self.folder
        self._erase = erase

    @abstractmethod
    def start(self) -> None:
        """Returns when it answers."""

    @contextlib.contextmanager
    def _starting(self, program: Program) -> Iterator[Child]:
        """Runs it; it is stopped where the block fails, which waits for its answer."""
        self.child = Child(program, self._run_folder)
        with contextlib.ExitStack() as undo:
            undo.callback(self.stop)
            self.child.start()
            yield self.child
            undo.pop_all()

    def stop(self) -> None:
        """Within 20 s: as it asks to be stopped (`Program.stops`), then killed."""
        if self.child:
            self.child.stop()
        if self._erase:
            shutil.rmtree(self.place, ignore_errors=True)
            shutil.rmtree(self.folder, ignore_errors=True)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
