"""Sign-in with Keycloak and Ory Hydra: `make test-idp`, not a part of `make test`."""

import os

from tests.browser.conftest import chromium

__all__ = ["chromium"]

# They are downloaded and built at the first run, and need minutes.
collect_ignore_glob = [] if os.environ.get("TEST_IDP") else ["test_*"]
