"""The Kubernetes manifests: their fields exist, and they say what the other examples say.

`SCHEMAS` describes the fields that the manifests use, as in the custom resource
definitions of Traefik 3.7.9, Gateway API 1.6 (experimental), Istio's API 1.31 and
Kubernetes. The manifests were validated against the definitions themselves when they
were written; nothing here runs a cluster.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from gateway.authz.mode import Mode, mode_of
from gateway.identity_headers import PRESETS
from tests.fronts.programs import DEPLOY

Schema = dict[str, Any]
FILES = sorted(DEPLOY.glob("*/kubernetes.yaml"))
SET_BY_THE_GATEWAY = {
    name.lower()
    for name in (*PRESETS["gateway"], "X-Auth-Status", "Authorization", "Cookie")
}


def obj(required: str = "", /, **fields: Schema) -> Schema:
    return {
        "type": "object",
        "properties": fields,
        "additionalProperties": False,
        "required": required.split(),
    }


def many(items: Schema, most: int = 1000) -> Schema:
    return {"type": "array", "items": items, "minItems": 1, "maxItems": most}


def word(*allowed: str) -> Schema:
    return {"enum": list(allowed)}


TEXT: Schema = {"type": "string", "minLength": 1}
FLAG: Schema = {"type": "boolean"}
PORT: Schema = {"type": "integer", "minimum": 1, "maximum": 65535}
TEXTS: Schema = {"type": "object", "additionalProperties": {"type": "string"}}
NAME = {"type": "string", "pattern": "^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"}
HEADER = {"type": "string", "pattern": "^[A-Za-z0-9!#$%&'*+.^_|~-]+$"}
META = obj("name", name=NAME, namespace=NAME, annotations=TEXTS)
SCHEMAS: dict[tuple[str, str], Schema] = {
    ("traefik.io/v1alpha1", "Middleware"): obj(
        headers=obj(customRequestHeaders=TEXTS),
        forwardAuth=obj(
            "address",
            address=TEXT, trustForwardHeader=FLAG, preserveLocationHeader=FLAG,
            maxResponseBodySize={"type": "integer"}, authResponseHeaders=many(HEADER),
            addAuthCookiesToResponse=many(TEXT),
        ),
    ),
    ("traefik.io/v1alpha1", "IngressRoute"): obj(
        "routes",
        entryPoints=many(TEXT),
        routes=many(
            obj(
                "match", kind=word("Rule"), match=TEXT,
                middlewares=many(obj("name", name=NAME)),
                services=many(obj("name", name=NAME, port=PORT)),
            )
        ),
    ),
    ("gateway.networking.k8s.io/v1", "HTTPRoute"): obj(
        parentRefs=many(obj("name", name=NAME), 32),
        hostnames=many(TEXT, 16),
        rules=many(
            obj(
                matches=many(
                    obj(path=obj(type=word("PathPrefix", "Exact"), value=TEXT)), 64
                ),
                filters=many(
                    {
                        "oneOf": [
                            obj(
                                "type externalAuth",
                                type=word("ExternalAuth"),
                                externalAuth=obj(
                                    "protocol backendRef http",
                                    protocol=word("HTTP"),
                                    backendRef=obj("name port", name=NAME, port=PORT),
                                    http=obj(
                                        path=TEXT, allowedHeaders=many(HEADER, 64),
                                        allowedResponseHeaders=many(HEADER, 64),
                                    ),
                                ),
                            ),
                            obj(
                                "type requestHeaderModifier",
                                type=word("RequestHeaderModifier"),
                                requestHeaderModifier=obj(remove=many(HEADER, 16)),
                            ),
                        ]
                    },
                    16,
                ),
                backendRefs=many(obj("name port", name=NAME, port=PORT), 16),
            ),
            16,
        ),
    ),
    ("security.istio.io/v1", "AuthorizationPolicy"): obj(
        selector=obj(matchLabels=TEXTS),
        action=word("CUSTOM"),
        provider=obj("name", name=TEXT),
        rules=many(obj(to=many(obj(operation=obj(notPaths=many(TEXT)))))),
    ),
    ("networking.istio.io/v1", "VirtualService"): obj(
        hosts=many(TEXT),
        gateways=many(TEXT),
        http=many(
            obj(
                match=many(obj(uri=obj(prefix=TEXT))),
                route=many(
                    obj(destination=obj("host", host=NAME, port=obj(number=PORT)))
                ),
                headers=obj(request=obj(remove=many(HEADER))),
            )
        ),
    ),
    ("networking.k8s.io/v1", "Ingress"): obj(
        ingressClassName=NAME,
        rules=many(
            obj(
                host=TEXT,
                http=obj(
                    "paths",
                    paths=many(
                        obj(
                            "pathType backend", path=TEXT, pathType=word("Prefix"),
                            backend=obj(
                                service=obj("name", name=NAME, port=obj(number=PORT))
                            ),
                        )
                    ),
                ),
            )
        ),
    ),
}  # fmt: skip
PROVIDER = obj(
    "service port",
    service=TEXT, port=PORT, pathPrefix=TEXT, timeout=TEXT, failOpen=FLAG,
    statusOnError={"type": "string", "pattern": "^[45][0-9]{2}$"},
    includeRequestHeadersInCheck=many(TEXT), headersToUpstreamOnAllow=many(TEXT),
    headersToDownstreamOnAllow=many(TEXT), headersToDownstreamOnDeny=many(TEXT),
)  # fmt: skip
MESH = obj(
    meshConfig=obj(
        pathNormalization=obj(normalization=word("MERGE_SLASHES")),
        extensionProviders=many(
            obj("name envoyExtAuthzHttp", name=TEXT, envoyExtAuthzHttp=PROVIDER)
        ),
    )
)


def documents(name: str) -> list[dict[str, Any]]:
    text = (DEPLOY / name).read_text()
    return [found for found in yaml.safe_load_all(text) if found]


def of_kind(name: str, kind: str) -> list[dict[str, Any]]:
    return [found for found in documents(name) if found.get("kind") == kind]


def validate(found: dict[str, Any]) -> None:
    kind = (found["apiVersion"], found["kind"])
    rest = {"apiVersion": TEXT, "kind": TEXT, "metadata": META}
    if kind == ("v1", "ConfigMap"):
        jsonschema.validate(found, obj("metadata", **rest, data=TEXTS))
    else:
        jsonschema.validate(found, obj("metadata spec", **rest, spec=SCHEMAS[kind]))


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.parent.name)
def test_every_field_is_one_of_its_kind(file: Path) -> None:
    for found in documents(str(file.relative_to(DEPLOY))):
        validate(found)


def test_the_values_for_istio_are_those_of_a_mesh() -> None:
    (values,) = documents("istio/mesh-config.yaml")

    jsonschema.validate(values, MESH)


def test_a_misspelt_field_would_be_found() -> None:
    (route,) = documents("gateway-api/kubernetes.yaml")
    auth = route["spec"]["rules"][1]["filters"][0]["externalAuth"]
    auth["http"]["allowedRequestHeaders"] = auth["http"].pop("allowedHeaders")

    with pytest.raises(jsonschema.ValidationError):
        validate(route)


def decisions() -> Iterator[tuple[str, str, Mode, list[str]]]:
    """Yield for each example: address and path of the endpoint, and what it sets."""
    auth = of_kind("traefik/kubernetes.yaml", "Middleware")[1]["spec"]["forwardAuth"]
    place, path = auth["address"].removeprefix("http://").split("/", 1)
    yield place, f"/{path}", Mode.FORWARD_AUTH, auth["authResponseHeaders"]
    (route,) = documents("gateway-api/kubernetes.yaml")
    auth = route["spec"]["rules"][1]["filters"][0]["externalAuth"]
    ref, http = auth["backendRef"], auth["http"]
    names = http["allowedResponseHeaders"]
    yield f"{ref['name']}:{ref['port']}", f"{http['path']}/", Mode.EXT_AUTHZ, names
    (values,) = documents("istio/mesh-config.yaml")
    http = values["meshConfig"]["extensionProviders"][0]["envoyExtAuthzHttp"]
    names = [
        set_name
        for pattern in http["headersToUpstreamOnAllow"]
        for set_name in SET_BY_THE_GATEWAY
        if set_name.startswith(pattern.removesuffix("*"))
    ]
    place = f"{http['service'].partition('.')[0]}:{http['port']}"
    yield place, f"{http['pathPrefix']}/", Mode.EXT_AUTHZ, names
    notes = of_kind("ingress-nginx/kubernetes.yaml", "Ingress")[0]["metadata"]
    notes = {k.partition("/")[2]: v for k, v in notes["annotations"].items()}
    place, path = notes["auth-url"].removeprefix("http://").split("/", 1)
    names = notes["auth-response-headers"].split(",")
    place = place.replace(".default.svc.cluster.local", "")
    yield place, f"/{path}", Mode.AUTH_REQUEST, names


def test_each_asks_its_endpoint_and_sets_every_header_of_the_gateway() -> None:
    found = list(decisions())

    assert len(found) == len(FILES)
    for place, path, mode, names in found:
        assert place == "gateway:9091"
        assert mode_of(path) is mode
        assert {name.lower() for name in names} == SET_BY_THE_GATEWAY


def test_the_middlewares_of_traefik_are_those_of_its_file() -> None:
    """That file is run by the tests with Traefik itself."""
    (file,) = documents("traefik/gateway.yaml")
    tested = file["http"]["middlewares"]
    claims, authz = of_kind("traefik/kubernetes.yaml", "Middleware")
    (route,) = of_kind("traefik/kubernetes.yaml", "IngressRoute")
    address = {"address": "http://gateway:9091/authz/forward-auth"}

    assert claims["spec"] == tested["no-claims"]
    assert authz["spec"]["forwardAuth"] == tested["authz"]["forwardAuth"] | address
    names = [each["name"] for each in route["spec"]["routes"][1]["middlewares"]]
    assert names == [claims["metadata"]["name"], authz["metadata"]["name"]]


def test_istio_fails_closed_and_asks_about_all_but_the_gateways_own_paths() -> None:
    (values,) = documents("istio/mesh-config.yaml")
    (provider,) = values["meshConfig"]["extensionProviders"]
    (policy,) = of_kind("istio/kubernetes.yaml", "AuthorizationPolicy")
    (service,) = of_kind("istio/kubernetes.yaml", "VirtualService")
    (rule,) = policy["spec"]["rules"]

    assert provider["envoyExtAuthzHttp"]["failOpen"] is False
    assert policy["spec"]["provider"]["name"] == provider["name"]
    own = service["spec"]["http"][0]
    prefixes = [each["uri"]["prefix"] for each in own["match"]]
    assert rule["to"][0]["operation"] == {"notPaths": [f"{p}*" for p in prefixes]}
    assert own["route"][0]["destination"] == {
        "host": "gateway",
        "port": {"number": 8080},
    }


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.parent.name)
def test_no_manifest_claims_to_have_been_run(file: Path) -> None:
    comments = " ".join(
        line.strip("# ") for line in file.read_text().splitlines() if line[:1] == "#"
    )

    assert "not run" in comments
    assert "server.trusted_proxies" in comments
