# ruff: noqa: D102 - the names of the attributes suffice
"""The subject of a token: the attributes of a session that claims may contain.

Tokens and sessions are in the same layer and do not import each other; a Session
of `gateway.sessions.record` is a Subject because it has these attributes.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol


class Person(Protocol):
    """Who signed in."""

    @property
    def id(self) -> str: ...
    @property
    def traits(self) -> Mapping[str, Any]: ...
    @property
    def roles(self) -> Sequence[str]: ...
    @property
    def created_at(self) -> float | None: ...
    @property
    def updated_at(self) -> float | None: ...


class Membership(Protocol):
    """One tenant, and the role that the person has in it."""

    @property
    def id(self) -> str: ...
    @property
    def name(self) -> str: ...
    @property
    def role(self) -> str: ...


class Method(Protocol):
    """A way in which the person proved who they are."""

    @property
    def method(self) -> str: ...


class Subject(Protocol):
    """One sign-in of one person.

    `version` changes whenever traits, roles or tenants do; times are in
    epoch seconds.
    """

    @property
    def id(self) -> str: ...
    @property
    def version(self) -> str: ...
    @property
    def aal(self) -> str: ...
    @property
    def authenticated_at(self) -> float: ...
    @property
    def expires_at(self) -> float: ...
    @property
    def methods(self) -> Sequence[Method]: ...
    @property
    def identity(self) -> Person: ...
    @property
    def tenants(self) -> Mapping[str, Membership]: ...
