"""Sessions of an app that begin: seen in its answers, where nobody else says when.

Most libraries do not write down when somebody signed in. An answer that gives the
browser another session than it came with is the moment; a session that lives on
under its id began when that id did. What is not seen here counts as older than
anything.
"""

from collections.abc import Iterator, Sequence

from gateway.errors import StoreUnavailable
from gateway.http.head import RequestHead
from gateway.server.caller import credential_of
from gateway.server.serving import Serving
from gateway.server.story import Story
from gateway.server.tools import Tools
from gateway.sessions.authenticate import Anonymous
from gateway.sessions.formats.credential import Credential, read_credential
from gateway.sessions.formats.profile import Profile


async def note_new_session(
    headers: Sequence[tuple[bytes, bytes]],
    head: RequestHead,
    serving: Serving,
    story: Story,
    tools: Tools,
) -> None:
    """Note the beginning of a session that an app's answer sets, before it is sent.

    An outage of the store loses the note and not the sign-in: the session then
    counts as old where its age is asked for.
    """
    profile = serving.foreign
    if profile is None or profile.created is not None or tools.apps is None:
        return
    held = credential_of(head, serving)
    known = None if isinstance(held, Anonymous) else held.key
    for credential in _set_in(headers, profile):
        if credential.key != known:
            try:
                await tools.apps.began(credential.key, tools.edge.now())
            except StoreUnavailable as error:
                tools.report.failed(story, error)


def _set_in(
    headers: Sequence[tuple[bytes, bytes]], profile: Profile
) -> Iterator[Credential]:
    for name, value in headers:
        if name.lower() != b"set-cookie" or profile.cookie_name not in value:
            continue
        # RFC 6265, section 5.2: the pair is what stands before the first ";".
        found = read_credential(profile, [value.partition(b";")[0]])
        if isinstance(found, Credential):
            yield found
