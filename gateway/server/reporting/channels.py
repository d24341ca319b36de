"""Where reports go: the log, the audit events, the metrics; and the clocks."""

from dataclasses import dataclass, field
from typing import Any

import structlog

from gateway.observe.audit import Audit
from gateway.observe.logs import LogOutput
from gateway.observe.metrics import Metrics
from gateway.server.system import System


@dataclass(slots=True, kw_only=True)
class Channels:
    """What the reporters of one process share."""

    output: LogOutput
    audit: Audit
    metrics: Metrics
    system: System = field(default_factory=System)
    log: Any = field(default_factory=lambda: structlog.get_logger("gateway"))
