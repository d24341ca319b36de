"""The identity provider of `gateway demo --oidc`: npm's oidc-provider, installed once."""

import hashlib
import json
import os
import secrets
import shutil
import socket
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Final, Self

from gateway.demo.accounts import ACCOUNTS, TENANTS
from gateway.embedded.child import ServerProcess, private_folder
from gateway.errors import EmbeddedUnavailable

_FILES: Final = Path(__file__).parent / "provider"
_NEEDED: Final = (
    "the demo with a provider needs Node.js 20 or later and npm "
    "(Debian, Ubuntu: apt-get install nodejs npm); without --oidc it needs neither"
)
SIGN_IN: Final = "/.gateway/sign-in"
"""Where the links of the app lead."""
_FORM: Final = "sign_in:\n  url: /auth/login\n"
_WITH_PROVIDER: Final = """sign_in:
  encryption_keys: [{id: demo, key: "${DEMO_ENCRYPTION_KEY}"}]
  providers:
    harbour:
      title: Harbour ID
      issuer: ${DEMO_ISSUER}
      client_id: gateway
      client_secret: ${DEMO_CLIENT_SECRET}
      scopes: [openid, profile, email, organizations]
      identity: {roles: "{roles}"}
      tenants: "{organizations}"
      refresh: 1m
"""


class EmbeddedProvider:
    """The provider as a child process; it ends with the demo.

    Raises:
        EmbeddedUnavailable: Node.js or npm is missing, or does not do its work.
    """

    def __init__(self, port: int, gateway: str, env: Mapping[str, str]) -> None:
        self.secret = secrets.token_urlsafe(24)
        self.issuer = f"http://127.0.0.1:{port}"
        self._port = port
        node = shutil.which("node", path=env.get("PATH"))
        npm = shutil.which("npm", path=env.get("PATH"))
        if node is None or npm is None:
            raise EmbeddedUnavailable(_NEEDED)
        packages = _installed(npm, env)
        folder = private_folder("gateway-provider-")
        shutil.copy(_FILES / "provider.mjs", folder)
        shutil.copy(_FILES / "package.json", folder)
        (folder / "node_modules").symlink_to(packages)
        self._server = ServerProcess(
            name="the identity provider",
            argv=[node, "provider.mjs"],
            folder=folder,
            env={
                "PATH": env.get("PATH", os.defpath),
                "PORT": str(port),
                "GATEWAY": gateway,
                "CLIENT_SECRET": self.secret,
                "PEOPLE": json.dumps(people()),
            },
        )

    def __enter__(self) -> Self:
        """Wait until it accepts connections."""
        self._server.wait_until(self._answers)
        return self

    def __exit__(self, *_: object) -> None:
        """Stop it and remove its folder."""
        self._server.stop()

    def _answers(self) -> bool:
        with socket.socket() as probe:
            probe.settimeout(1.0)
            return probe.connect_ex(("127.0.0.1", self._port)) == 0


def people() -> list[dict[str, object]]:
    """Return the accounts of the demo as the claims of the provider."""
    return [
        {
            "sub": account.id,
            "name": account.name,
            "about": account.about,
            "email": account.email,
            "email_verified": True,
            "roles": list(account.roles),
            "organizations": {
                tenant: {"name": TENANTS[tenant], "role": role}
                for tenant, role in account.memberships.items()
            },
        }
        for account in ACCOUNTS
    ]


def with_provider(config: str) -> str:
    """Return the configuration of the demo, with the provider instead of the form."""
    if _FORM not in config:
        raise ValueError("the configuration of the demo has no sign_in.url")
    return config.replace(_FORM, _WITH_PROVIDER)


def _installed(npm: str, env: Mapping[str, str]) -> Path:
    """Return the node_modules; downloaded at the first run.

    Raises:
        EmbeddedUnavailable: they cannot be downloaded.
    """
    lock = (_FILES / "package-lock.json").read_bytes()
    home = env.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    name = f"provider-{hashlib.sha256(lock).hexdigest()[:16]}"
    folder = Path(home) / "auth-gateway" / name
    done = folder / "installed"
    if not done.exists():
        try:
            folder.mkdir(parents=True, exist_ok=True)
            for file in ("package.json", "package-lock.json"):
                shutil.copy(_FILES / file, folder)
            result = subprocess.run(  # noqa: S603 - a fixed command
                [npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund"]
                + ["--prefer-offline"],
                check=False,
                cwd=folder,
                capture_output=True,
                text=True,
                timeout=300,
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            raise EmbeddedUnavailable(f"npm cannot install it: {error}") from error
        if result.returncode != 0:
            last = result.stderr.strip().splitlines()[:1] or ["no message"]
            raise EmbeddedUnavailable(f"npm cannot install it: {last[0]}")
        done.touch()
    return folder / "node_modules"
