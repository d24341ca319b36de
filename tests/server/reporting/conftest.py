"""A log that a test reads, and logging as it was afterwards."""

import logging
from collections.abc import Iterator

import pytest
import structlog

from tests.observe.lines import Lines


@pytest.fixture(autouse=True)
def _logging_as_it_was() -> Iterator[None]:
    handlers, level = logging.root.handlers[:], logging.root.level
    yield
    logging.root.handlers, logging.root.level = handlers, level
    structlog.reset_defaults()


@pytest.fixture
def lines() -> Lines:
    return Lines()
