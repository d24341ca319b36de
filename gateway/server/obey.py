"""What an upstream asks of the gateway in its answer: to sign somebody in, or out."""

from collections.abc import Sequence

from gateway.errors import BadAnswer
from gateway.http.head import RequestHead
from gateway.server.hand_off import BadHandOff, HandOff, SignIn, SignOut
from gateway.server.serving import Application, Serving
from gateway.server.session_changes import sign_in, sign_out
from gateway.server.story import Story
from gateway.server.tools import Tools


async def obey(
    hand_off: HandOff,
    application: Application,
    cookies: Sequence[str],
    head: RequestHead,
    serving: Serving,
    story: Story,
    tools: Tools,
) -> Sequence[str]:
    """Obey a sign-in or sign-out in an answer; gives the cookies to set.

    Raises:
        BadAnswer: it cannot be obeyed.
        StoreUnavailable: the app believes that the person is signed in (or out), and
            the store was never told. Its answer would be a lie, and is not passed on.
    """
    if not application.may_sign_in or tools.own is None:
        tools.report.audit("hand_off_refused", story, upstream=application.view.name)
        return cookies
    try:
        match hand_off:
            case BadHandOff(why=why):
                raise BadAnswer(why)
            case SignIn():
                return await sign_in(hand_off, tools.own, head, serving, story, tools)
            case SignOut(which=which):
                return await sign_out(which, head, serving, story, tools)
    except ValueError as error:
        raise BadAnswer(str(error)) from error
