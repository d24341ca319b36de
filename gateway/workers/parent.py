"""End a worker when its parent ends.

The kernel sends SIGKILL when the parent is gone (PR_SET_PDEATHSIG). A worker that is
stopped or stuck ends, too; one that drained instead would hold the port with the
old configuration and keys while the next start cannot have it.
"""

import ctypes
import os
import signal
from typing import Final

_PR_SET_PDEATHSIG: Final = 1


def end_with(parent: int) -> bool:
    """Make the kernel end this process with its parent; return False if unsupported.

    Call it first in a child. The signal is for a later death, so a parent that ended
    between the fork and this call is found by its id.

    Args:
        parent: the process id of the parent, as it was before the fork.
    """
    try:
        prctl = ctypes.CDLL(None, use_errno=True).prctl
        done = bool(prctl(_PR_SET_PDEATHSIG, int(signal.SIGKILL), 0, 0, 0) == 0)
    except (OSError, AttributeError):
        done = False
    if os.getppid() != parent:
        os._exit(1)
    return done
