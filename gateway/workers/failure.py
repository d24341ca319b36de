"""Exit codes of a worker that fails: one line on standard error."""

from typing import Final

from gateway.errors import GatewayError
from gateway.observe.failure import describe, write_line

UNUSABLE: Final = 78
"""EX_CONFIG of sysexits.h: started again it would fail again."""


def exit_code_of(error: BaseException) -> int:
    """Report why this process ends, without values; return its exit code."""
    write_line(f"error: {describe(error)}")
    return UNUSABLE if isinstance(error, GatewayError) else 1
