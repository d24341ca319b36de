"""Names and scripts of the session store in Redis; docs/session-record.md.

Each script touches one key, so that all of them run on Redis Cluster.
"""

from collections.abc import Callable
from typing import Final
from urllib.parse import quote

from gateway.sessions.provider_link import ProviderLink, ProviderLogout

ENDED_CHANNEL: Final = "gateway:sessions:ended"


# No function in Python: a batch of look-ups has many keys.
record_key: Final[Callable[[str], str]] = "gateway:session:".__add__
"""Return the key of a session record, given the hex SHA-256 of its token."""


def identity_key(identity_id: str) -> str:
    """Return the key of an identity's index. The ID is percent-encoded: no ":" remains."""
    return f"gateway:identity:{quote(identity_id, safe='')}:sessions"


TOKENS_KEY: Final = "gateway:tokens"
"""The index of the access tokens of all identities."""


def public_id_key(session_id: str) -> str:
    """Return the key of the hint that leads from a public session ID to the record."""
    return f"gateway:session-id:{quote(session_id, safe='')}"


def renewal_key(key: str) -> str:
    """Return the key of what renews the membership of a session."""
    return f"gateway:renewal:{key}"


def renewal_turn_key(key: str) -> str:
    """Return the key that the process holds which renews a session."""
    return f"gateway:renewal-turn:{key}"


def link_keys(link: ProviderLink) -> tuple[str, ...]:
    """Return the keys of the indexes of a session by its provider."""
    names = [subject_key(link.issuer, link.subject)]
    if link.session_id is not None:
        names.append(sid_key(link.issuer, link.session_id))
    return tuple(names)


def subject_key(issuer: str, subject: str) -> str:
    """Return the key of the index of a subject's sessions."""
    return f"gateway:provider:{_quoted(issuer)}:subject:{_quoted(subject)}:sessions"


def sid_key(issuer: str, sid: str) -> str:
    """Return the key of the index of the sessions of a session at the provider."""
    return f"gateway:provider:{_quoted(issuer)}:sid:{_quoted(sid)}:sessions"


def logout_marks(link: ProviderLink) -> tuple[str, ...]:
    """Return the keys of the marks that could mean a sign-in."""
    place = f"gateway:provider:{_quoted(link.issuer)}"
    subject = _quoted(link.subject)
    sid = link.session_id
    one = f"no-sid:{subject}" if sid is None else f"sid:{_quoted(sid)}"
    return (f"{place}:subject:{subject}:ended", f"{place}:{one}:ended")


def logout_marks_of(logout: ProviderLogout) -> tuple[str, ...]:
    """Return the keys of the marks that a logout leaves."""
    place = f"gateway:provider:{_quoted(logout.issuer)}"
    if logout.session_id is None:
        return (f"{place}:subject:{_quoted(logout.subject or '')}:ended",)
    names = [f"{place}:sid:{_quoted(logout.session_id)}:ended"]
    if logout.subject is not None:
        # A sign-in whose ID token has no `sid` may be the one.
        names.append(f"{place}:no-sid:{_quoted(logout.subject)}:ended")
    return tuple(names)


def token_end_key(key: str) -> str:
    """Return the key that one ended access token of a provider leaves."""
    return f"gateway:provider-token:{key.rpartition(':')[2]}:ended"


def identity_end_key(identity_id: str) -> str:
    """Return the key with the time until which the tokens of an identity have ended."""
    return f"gateway:identity:{_quoted(identity_id)}:tokens-ended"


def id_token_key(key: str) -> str:
    """Return the key of the encrypted ID token of a session."""
    return f"gateway:id-token:{key}"


def logout_token_key(issuer: str, jti: str) -> str:
    """Return the key of a logout token that was used."""
    return f"gateway:provider:{_quoted(issuer)}:jti:{_quoted(jti)}"


def _quoted(text: str) -> str:
    return quote(text, safe="")


# KEYS: record. ARGV: bytes expected, bytes to set ("" deletes), milliseconds to
# live ("0" leaves them), channel ("" is silent), message. Answers 1 if it was done.
COMPARE_AND_SET: Final = """
if redis.pcall('GET', KEYS[1]) ~= ARGV[1] then return 0 end
if ARGV[2] == '' then redis.call('DEL', KEYS[1])
elseif ARGV[3] == '0' then redis.call('SET', KEYS[1], ARGV[2], 'KEEPTTL')
else redis.call('SET', KEYS[1], ARGV[2], 'PX', ARGV[3]) end
if ARGV[4] ~= '' then redis.call('PUBLISH', ARGV[4], ARGV[5]) end
return 1
"""

# KEYS: index. ARGV: member, score, milliseconds to live, score below which entries
# are forgotten. An index that another program keeps without end stays so.
ADD_TO_INDEX: Final = """
local kind = redis.call('TYPE', KEYS[1]).ok
if kind ~= 'zset' then redis.call('DEL', KEYS[1]) end
local left = redis.call('PTTL', KEYS[1])
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', '(' .. ARGV[4])
redis.call('ZADD', KEYS[1], ARGV[2], ARGV[1])
if left ~= -1 then
  redis.call('PEXPIRE', KEYS[1], math.max(left, tonumber(ARGV[3])))
end
return 1
"""
