"""Which values of a configuration are secret, by their type in the schema.

A field of type `Secret` is one, wherever it is and whatever its name; a new one needs
no entry here. So is everything below a key that the schema does not know: it may be a
secret under a misspelt name.
"""

from collections.abc import Iterator
from typing import Any, Final, get_args, get_origin

from pydantic import BaseModel

from gateway.config.document import Loc, is_plain_name
from gateway.config.schema import Config
from gateway.config.secret_values import Secret
from gateway.sessions.redis.url import parse_redis_url


def is_secret(loc: Loc) -> bool:
    """Whether the value at this place, or around it, may be a secret."""
    annotation: Any = Config
    for part in loc:
        if _holds_secret(annotation):
            return True
        if _is_free(annotation):
            return False
        annotation = _below(annotation, part)
        if annotation is None:
            return True
    return _holds_secret(annotation)


def is_quotable(loc: Loc) -> bool:
    """Whether a message may repeat the last key of a place."""
    name = str(loc[-1])
    return name in KNOWN_NAMES or is_plain_name(name) or _is_named(loc[:-1])


def known_names(model: Any = Config) -> frozenset[str]:
    """Return every key of the schema, at any depth."""
    found: set[str] = set()
    for part in _parts(model):
        if isinstance(part, type) and issubclass(part, BaseModel):
            for name, field in part.model_fields.items():
                found |= {name} | known_names(field.annotation)
        elif get_origin(part) in {dict, tuple}:
            for inner in get_args(part):
                found |= known_names(inner)
    return frozenset(found)


def secrets_of(config: Config) -> tuple[str, ...]:
    """Return the secrets of a configuration: whole values, and the parts of URLs."""
    found: list[str] = []
    for text in _secrets_in(config):
        found.append(text)
        found += _parts_of_url(text)
    return tuple(dict.fromkeys(one for one in found if one))


def _secrets_in(value: Any) -> Iterator[str]:
    if isinstance(value, Secret):
        yield value.get_secret_value()
    elif isinstance(value, BaseModel):
        for name in type(value).model_fields:
            yield from _secrets_in(getattr(value, name))
    elif isinstance(value, dict):
        for one in value.values():
            yield from _secrets_in(one)
    elif isinstance(value, tuple):
        for one in value:
            yield from _secrets_in(one)


def _parts_of_url(url: str) -> Iterator[str]:
    try:
        address = parse_redis_url(url)
    except ValueError:
        return  # another secret than a URL
    yield url.partition("://")[2].rpartition("@")[0].partition(":")[2]
    yield address.password or ""
    yield address.option("sentinel_password") or ""


def _below(annotation: Any, part: str | int) -> Any:
    """Return what the schema says of a key or an entry; None if it does not know it."""
    for one in _parts(annotation):
        if isinstance(one, type) and issubclass(one, BaseModel):
            field = one.model_fields.get(str(part))
            return None if field is None else field.annotation
        if get_origin(one) is dict:
            return get_args(one)[1]
        # A key where a list is expected is unknown: its value may be a secret.
        if get_origin(one) is tuple and isinstance(part, int):
            return get_args(one)[0]
    return None


def _parts(annotation: Any) -> Iterator[Any]:
    """Return the alternatives of a type, without Annotated."""
    arguments = get_args(annotation)
    origin = get_origin(annotation)
    if hasattr(annotation, "__metadata__"):
        yield from _parts(arguments[0])
    elif arguments and origin not in {dict, tuple}:
        for one in arguments:
            yield from _parts(one)
    else:
        yield annotation


def _holds_secret(annotation: Any) -> bool:
    """Whether a value of this type is a secret, or a list of them."""
    for one in _parts(annotation):
        if one is Secret:
            return True
        if get_origin(one) is tuple and any(map(_holds_secret, get_args(one))):
            return True
    return False


def _is_named(loc: Loc) -> bool:
    """Whether the keys here are names that the file gives, such as of upstreams."""
    annotation: Any = Config
    for part in loc:
        annotation = _below(annotation, part)
    parts = tuple(_parts(annotation))
    return any(get_origin(one) is dict for one in parts) and not _is_free(annotation)


def _is_free(annotation: Any) -> bool:
    """Whether anything may be below, and none of it is a secret: `claims`, say."""
    parts = tuple(_parts(annotation))
    return Any in parts or any(
        get_origin(one) is dict and Any in get_args(one) for one in parts
    )


KNOWN_NAMES: Final = known_names()
