"""The types of the values of the configuration, as pydantic checks them."""

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainValidator,
    WithJsonSchema,
)

from gateway.config import addresses, fields, patterns, quantities, urls, values
from gateway.identity_headers import PRESETS


def in_schema(**schema: Any) -> WithJsonSchema:
    """Return the annotation that puts `schema` into the JSON Schema."""
    return WithJsonSchema(schema)


ANY_TEXT = in_schema(type="string")


LIST = BeforeValidator(values.one_or_many)


def or_list(item: Mapping[str, Any]) -> WithJsonSchema:
    """Return the JSON Schema of one `item` or a list of at least one."""
    many = {"type": "array", "items": dict(item), "minItems": 1}
    return in_schema(anyOf=[dict(item), many])


Text = Annotated[str, PlainValidator(values.text), ANY_TEXT]


Name = Annotated[str, PlainValidator(fields.name), ANY_TEXT]


CookieName = Annotated[str, PlainValidator(fields.cookie_name), ANY_TEXT]


StrippedHeader = Annotated[str, PlainValidator(fields.stripped_header), ANY_TEXT]


HeaderName = Annotated[str, PlainValidator(fields.header_name), ANY_TEXT]


Link = Annotated[str, PlainValidator(urls.link), ANY_TEXT]


Origin = Annotated[str, PlainValidator(urls.origin), ANY_TEXT]


Listen = Annotated[str, PlainValidator(addresses.listen), ANY_TEXT]


FilePath = Annotated[str, PlainValidator(values.file_path), ANY_TEXT]


PathPattern = Annotated[str, PlainValidator(patterns.path_pattern), ANY_TEXT]


Duration = Annotated[
    float,
    PlainValidator(quantities.duration),
    in_schema(type="string", pattern=r"^[0-9]+(\.[0-9]+)?(ms|s|m|h|d)$"),
]


Size = Annotated[
    int,
    PlainValidator(quantities.size),
    in_schema(
        anyOf=[
            {"type": "string", "pattern": r"^[0-9]+(B|kB|KB|KiB|MB|MiB|GB|GiB)$"},
            {"type": "integer", "minimum": 0},
        ]
    ),
]


IdentityHeaderNames = Annotated[
    str | dict[str, str],
    PlainValidator(patterns.identity_headers),
    in_schema(
        anyOf=[
            {"enum": list(PRESETS)},
            {"type": "object", "additionalProperties": {"type": "string"}},
        ]
    ),
]
ReturnOrigin = Annotated[str, PlainValidator(urls.return_origin), ANY_TEXT]


Percent = Annotated[int, Field(ge=1, le=100)]


Many = Annotated[int, Field(ge=1, le=1_000_000)]


Listeners = Annotated[
    tuple[Listen, ...], LIST, Field(min_length=1), or_list({"type": "string"})
]


UpstreamUrl = Annotated[str, PlainValidator(urls.upstream_url), ANY_TEXT]


UpstreamUrls = Annotated[
    tuple[UpstreamUrl, ...], LIST, Field(min_length=1), or_list({"type": "string"})
]


Networks = Annotated[
    tuple[Annotated[str, PlainValidator(addresses.network), ANY_TEXT], ...],
    Field(max_length=1000),
]


class Model(BaseModel):
    """One mapping of the file: no unknown key, no guess about types."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, strict=True, hide_input_in_errors=True
    )
