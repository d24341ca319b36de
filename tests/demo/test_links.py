"""The sample app links to nothing that is not there."""

import re
from pathlib import Path

from gateway.demo.app import TEMPLATES, sample_app
from gateway.spine.local_paths import methods_of


def test_every_path_that_a_page_names_is_answered() -> None:
    text = "".join(path.read_text() for path in Path(TEMPLATES).glob("*.html"))
    named = set(re.findall(r'(?:href|action|src)="(/[^"{]*)"', text))
    served = {
        route.resource.canonical
        for route in sample_app().router.routes()
        if route.resource is not None
    }

    unknown = {
        path
        for path in named - served - {"/api/notes"}
        if not path.startswith("/static/") and not methods_of(path)
    }

    assert unknown == set()
