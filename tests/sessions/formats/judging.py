"""From a value to a judgement, at one moment."""

import json
from typing import Any

from gateway.sessions.formats.compile_profile import compile_format
from gateway.sessions.formats.credential import Credential, read_credential
from gateway.sessions.formats.engine import (
    Interpretation,
    Stored,
    interpret_record,
)
from gateway.sessions.formats.profile import Profile
from gateway.sessions.formats.settings import FormatSettings

NOW = 1_795_219_200.0
SID = "0123456789abcdef0123456789abcdef"
SECRET = ("a secret of our own making",)


def compiled(
    name: str = "json",
    *,
    secrets: tuple[str, ...] = (),
    pickled: bool = False,
    **profile: Any,
) -> Profile:
    stated = {"id": "[0-9a-f]{32}", "key": "s:{id}", "identity": "$.id"}
    return compile_format(
        FormatSettings(
            format=name,
            cookie_name="sid",
            secrets=secrets,
            allow_pickle=pickled,
            profile={**(stated if name == "json" else {}), **profile},
        )
    )


def interpreted(
    profile: Profile,
    value: object,
    *,
    pttl: int = 60_000,
    then: Stored | None = None,
) -> Interpretation:
    raw = value if isinstance(value, bytes) else json.dumps(value).encode()
    credential = read_credential(profile, [b"sid=" + SID.encode()])
    assert isinstance(credential, Credential)
    return interpret_record(
        profile, credential, Stored(value=raw, pttl=pttl), NOW, then
    )


def read(
    value: object,
    *,
    pttl: int = 60_000,
    **profile: Any,
) -> Interpretation:
    return interpreted(compiled(**profile), value, pttl=pttl)
