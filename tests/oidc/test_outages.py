"""Redis goes away in the middle of a sign-in, or of a logout by the provider."""

from pathlib import Path

from aiohttp import web

from tests.oidc.hostile import HostileProvider, provider_config
from tests.oidc.walking import CALLBACK, Browser, is_page, signing_config
from tests.servers import valkey_server
from tests.walk.harness import IMPATIENT, RecordingUpstream, running_gateway, until


async def test_a_sign_in_that_could_not_be_stored_is_begun_again(
    upstream: RecordingUpstream, provider: HostileProvider, tmp_path: Path
) -> None:
    config = signing_config(upstream.port, acme=provider_config(provider.issuer))
    config["redis"] = IMPATIENT
    link = "/.gateway/sign-in/acme?return_to=/dashboard/7&reason=step_up"
    with valkey_server(tmp_path) as own:
        async with running_gateway(config, tmp_path, own.url) as gateway:
            browser = Browser(gateway)
            query = provider.approve(await browser.begin(link))

            async def goes_away(request: web.Request) -> web.StreamResponse:
                own.stop()
                del provider.answers["token"]
                return await provider.serve(request)

            provider.answers["token"] = goes_away
            reply = await browser.get(f"{CALLBACK}?{query}")

            # A page that leads to a new attempt; the old one, whose code was used, is
            # not left in the browser, and neither is a session.
            assert is_page(reply, 503)
            assert reply.present("Retry-After")
            assert link.replace("&", "&amp;") in reply.body.decode()
            assert browser.attempts == []
            assert browser.session is None
            own.start_again()
            assert own.command_line("KEYS", "gateway:session:*") == []
            lines = [
                one
                for one in await gateway.logged()
                if one.get("event.dataset") == "gateway.access"
            ]
            assert lines[-1]["gateway.reason"] == "store_unavailable"

            async def signed_in() -> bool:
                return (await browser.sign_in(provider, link)).status == 302

            while not await signed_in():
                await until(lambda: True)
            assert (await browser.whoami() or {})["identity"]["id"] == "s-1"
