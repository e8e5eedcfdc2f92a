"""What stands between the supervisor and a program: drops to a user, dies with the supervisor, becomes the program.

    python -I -S launch.py PARENT_PID SIGNAL USER PROGRAM [ARGUMENT ...]

Run by its path in a process of its own, because `preexec_fn` is unsafe in a process with threads (and a warning since
Python 3.12), and because the program's user may not be able to traverse to this interpreter. USER is a name, or empty.
"""

import os
import sys
from ctypes import CDLL
from pwd import getpwnam

PR_SET_PDEATHSIG = 1


def die_with_parent(parent: int, signal: int) -> None:
    """Asks the kernel for `signal` when the parent's thread ends; Linux only, elsewhere a pid file has to do."""
    if kernel:
        kernel.prctl(PR_SET_PDEATHSIG, signal, 0, 0, 0)
    if os.getppid() != parent:  # it died before the kernel was asked
        sys.exit(1)


def become(user: str) -> None:
    """Gives up root for good: groups first, since only root may change them."""
    entry = getpwnam(user)
    os.initgroups(user, entry.pw_gid)
    os.setgid(entry.pw_gid)
    os.setuid(entry.pw_uid)


if __name__ == "__main__":
    parent_pid, death_signal, user_name, *command = sys.argv[1:]
    # All that is needed is loaded first: the user may not be able to read our own library either.
    kernel = CDLL(None) if sys.platform == "linux" else None
    if user_name:
        become(user_name)
    # After the change of user, which clears the death signal.
    die_with_parent(int(parent_pid), int(death_signal))
    os.execv(command[0], command)  # noqa: S606 - no shell is wanted
