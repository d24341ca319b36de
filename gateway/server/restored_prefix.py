"""Gives the stripped prefix back to the head of a response."""

from gateway.http.prefix import (
    canonical_origin,
    restore_cookie_path,
    restore_location,
)
from gateway.http.response_fields import COOKIE, ResponseField
from gateway.outbound import UpstreamView
from gateway.proxy.head import ResponseHead
from gateway.server.context import RequestContext


def restored(
    head: ResponseHead, view: UpstreamView, context: RequestContext
) -> ResponseHead:
    """Return the head with the prefix in Location and in the paths of cookies."""
    prefix = view.restored_prefix
    fields = []
    for field in head.fields:
        value = field.value
        if field.folded == b"location":
            value = restore_location(value, prefix, _origins(context))
        elif field.role == COOKIE:
            value = restore_cookie_path(value, prefix)
        changed = value is not field.value and value != field.value
        fields.append(ResponseField(field.name, value) if changed else field)
    return ResponseHead(head.status, head.minor, fields)


def _origins(context: RequestContext) -> frozenset[str]:
    """Return the origins that the client reaches this upstream by."""
    head = context.head
    public = context.rules.policy.public_origin.partition("://")
    named = (
        canonical_origin(head.scheme, head.authority),
        canonical_origin(public[0], public[2]),
    )
    return frozenset(origin for origin in named if origin is not None)
