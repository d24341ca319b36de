"""Dataclasses for values that every request creates: frozen only for the type checker.

A frozen dataclass sets each field through `object.__setattr__`: for the fields of
a RequestHead that takes 6 µs instead of 1.3.
"""

from dataclasses import dataclass, field
from typing import TypeVar, dataclass_transform

T = TypeVar("T")


@dataclass_transform(
    frozen_default=True, kw_only_default=True, field_specifiers=(field,)
)
def value(cls: type[T]) -> type[T]:
    """Return a slotted, keyword-only dataclass that the type checker treats as frozen."""
    return dataclass(slots=True, kw_only=True)(cls)
