"""Where reports go: the log, the audit events, the metrics; and the clocks."""

from dataclasses import dataclass, field
from typing import Any

import structlog

from gateway.observe.audit import Audit
from gateway.observe.logs import LogOutput
from gateway.observe.metrics import Metrics
from gateway.server.edge import Edge


@dataclass(slots=True, kw_only=True)
class Channels:
    """What the reporters of one process share."""

    output: LogOutput
    audit: Audit
    metrics: Metrics
    edge: Edge = field(default_factory=Edge)
    log: Any = field(default_factory=lambda: structlog.get_logger("gateway"))
