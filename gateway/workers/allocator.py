"""Keeps freed memory in the process, for the next body.

Bodies pass through buffers of a few hundred KiB. By default glibc returns memory of that
size to the kernel when it is freed, and each new buffer begins with page faults: up to a
fifth of the CPU time of a large response (mallopt(3)). Other C libraries have no such setting.
"""

import ctypes
from contextlib import suppress
from typing import Final

_M_TRIM_THRESHOLD: Final = -1
_M_MMAP_THRESHOLD: Final = -3
KEPT_BYTES: Final = 32 * 1024 * 1024
"""Free memory at the end of the heap that a process keeps."""
_SMALLEST_MAPPING: Final = 4 * 1024 * 1024
"""Larger blocks are mapped, and returned when they are freed."""


def keep_freed_memory() -> None:
    """Set how much the allocator keeps; nothing changes without glibc."""
    with suppress(AttributeError, OSError):
        mallopt = ctypes.CDLL(None).mallopt
        mallopt(_M_MMAP_THRESHOLD, _SMALLEST_MAPPING)
        mallopt(_M_TRIM_THRESHOLD, KEPT_BYTES)
