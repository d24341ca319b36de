r"""Addresses that have led people elsewhere, by the advisory that told of them.

Each shape is written out here with hosts of our own; `variants` multiplies the parts
that the published lists of payloads are made of: what stands before a host, the host
as it can be spelled, and what stands behind it.
"""

from itertools import product

OURS = "http://gw.test"
ALLOWED = ("https://portal.example.com", "http://bar.foo", "https://app.example/area")

SHAPES: dict[str, tuple[str, ...]] = {
    "CVE-2020-5233": ("/\\evil.test", "\\evil.test", "/\\/evil.test", "\\/\\/evil.test/"),
    "CVE-2020-11053": (
        "/%09/evil.test", "/ /evil.test", "/\n/evil.test", "/\v\\evil.test",
        "/\t/evil.test", "/%0b/evil.test", "/%20/evil.test", "/\x7f/evil.test",
    ),
    "CVE-2021-21291": ("http://evilbar.foo", "http://evilbar.foo/", "http://bar.foo.evil"),
    "CVE-2019-14857": ("//evil.test", "//evil.test/", "///evil.test", "//evil.test/%2f.."),
    "CVE-2021-32786": ("/\\evil.test/..", "https:\\\\evil.test", "http:/\\evil.test"),
    "CVE-2021-39191": ("https://evil.test", "https://evil.test/login/"),
    "CVE-2022-23527": ("/\t/evil.test", "/\thTTp://evil.test", "/hTTp:evil.test", "/hTTps://evil.test"),
    "CVE-2021-29456": ("https://evil.test/?rd=/", "HTTPS://evil.test"),
    "CVE-2021-29651": ("https://evil.test/callback?token=", "http://127.0.0.1:1/"),
    "CVE-2026-41569": ("https://portal.example.com.evil.test/", "http://gw.test.evil.test/"),
    "a suffix": ("https://evilportal.example.com", "https://evil.portal.example.com", "http://evilgw.test/"),
    "CVE-2024-21637": (
        "javascript:alert(1)", "JavaScript:alert(1)", "javascript://gw.test/%0aalert(1)",
        "/javascript:alert(1)", "data:text/html,x", "vbscript:x", "java%0d%0ascript:alert(0)",
    ),
    "CVE-2023-6291": ("https://portal.example.com@evil.test/", "http://gw.test@evil.test", "http://gw.test:80@evil.test"),
    "CVE-2024-8883": (
        "http://evil@gw.test/", "http://gw.test%40evil.test/", "http://gw.test#@evil.test",
        "http://evil.test#@gw.test/", "http://evil.test?@gw.test/", "http://*.gw.test/",
    ),
    "CVE-2019-3877": ("/\\evil.test", "/\\\\evil.test"),
    "CVE-2021-21330": ("//evil.test/%2f..", "//evil.test/%2e%2e", "//evil.test/.."),
    "CVE-2022-28923": ("//evil.test/..", "/x/../..//evil.test"),
    "CVE-2024-1132": ("/%252f..%252fevil.test", "/..%252f..%252fevil.test", "/%2e%2e/evil.test"),
    "an address in the query": (
        "/go?url=//evil.test", "/?next=https://evil.test", "/?url=/\\/evil.test",
        "http://gw.test/?x=//evil.test", "/a?b=\\\\evil.test", "/a?/%2F/../..//x",
    ),
    "another host of the letters": (
        "/\u3031evil.test", "//evil\u3002test", "http://gw\uff0etest/", "//evil%E3%80%82test", "/\uff0fevil.test",
    ),
    "numbers that are hosts": ("http://3627734734", "http:0xd83ad6ce", "http://[::ffff:216.58.214.206]", "http://472.314.470.462"),
    "what is no address": ("", " ", "evil.test", "@evil.test", "<>//evil.test", '";alert(0);//', "?x", "#x", "/a#b", "/%", "/%zz"),
    "the allowed, less what was allowed": ("https://app.example/", "https://app.example/areas", "https://app.example/area/%2e%2e/x", "http://portal.example.com/", "https://portal.example.com:8443/"),
}  # fmt: skip
"""What must lead nowhere, with ALLOWED beside the own origin OURS."""

_BEFORE = (
    "/%09/", "/%5c", "//%09/", "//%5c", "///%09/", "////", "///", "//", "/////", "/https://",
    "/https:///", "https://", "https:///", "https:", "//https://", "//https:///", "/http:/",
    "/%2f%2f", "/%2f%5c%2f", "///\\;@", "/\\/\\/", "/<>//", "<>//", "https://%09/", "/https:/%5c",
)  # fmt: skip
_HOSTS = ("evil.test", "portal.example.com@evil.test", "evil%00.test", "evil.test:80#@portal.example.com", "evil.test\\@gw.test")  # fmt: skip
_BEHIND = ("", "/", "//", "/%2e%2e", "/%2e%2e%2f", "/%2f%2e%2e", "/%2f..")


def variants() -> list[str]:
    """Every combination of the parts: as many as the published lists hold."""
    return ["".join(parts) for parts in product(_BEFORE, _HOSTS, _BEHIND)]
