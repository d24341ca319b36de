"""Headers that real browsers, scripts and client libraries send: none may be lost."""

BROWSERS = """
Accept Accept-Charset Accept-Encoding Accept-Language Authorization Cache-Control
Content-Encoding Content-Language Content-Location Content-Type DNT Date Device-Memory
Downlink ECT From If-Match If-Modified-Since If-None-Match If-Range If-Unmodified-Since
Last-Event-ID Max-Forwards Origin Ping-From Ping-To Pragma Priority Purpose RTT Range
Referer Save-Data Sec-CH-Prefers-Color-Scheme Sec-CH-UA Sec-CH-UA-Arch Sec-CH-UA-Mobile
Sec-CH-UA-Model Sec-CH-UA-Platform Sec-Fetch-Dest Sec-Fetch-Mode Sec-Fetch-Site
Sec-Fetch-User Sec-GPC Sec-Purpose Sec-WebSocket-Extensions Sec-WebSocket-Key
Sec-WebSocket-Protocol Sec-WebSocket-Version Service-Worker
Service-Worker-Navigation-Preload Signature Signature-Input Upgrade-Insecure-Requests
User-Agent Via Viewport-Width Width X-Client-Data X-Moz X-Purpose
Access-Control-Request-Headers Access-Control-Request-Method
"""

PAGES = """
HX-Boosted HX-Current-URL HX-Request HX-Target HX-Trigger Next-Action
Next-Router-Prefetch Next-Router-State-Tree Next-Url RSC Turbo-Frame X-Ajax-Referer
X-Angular-Client X-CSRF-Token X-CSRFToken X-Inertia X-Inertia-Version
X-Livewire X-Nextjs-Data X-PJAX X-PJAX-Container X-Requested-With X-Socket-Id
X-SvelteKit-Action X-Turbo-Request-Id X-XSRF-TOKEN kbn-xsrf
"""

LIBRARIES = """
Accept-Profile Apollographql-Client-Name Content-Profile Depth Destination
Idempotency-Key If Lock-Token MCP-Protocol-Version Mcp-Session-Id OCS-APIRequest
Overwrite Prefer Range-Unit SOAPAction Tus-Resumable Upload-Concat Upload-Length
Upload-Metadata Upload-Offset X-Apollo-Operation-Name X-Client-Info X-Client-Version
X-Grpc-Web X-OC-Mtime X-Supabase-Api-Version X-Upload-Content-Type X-Upsert
X-User-Agent X-Stainless-Arch X-Stainless-Lang X-Stainless-OS
X-Stainless-Package-Version apikey grpc-timeout graphql-preflight
"""

SERVICES = """
OpenAI-Organization PRIVATE-TOKEN Stripe-Account Stripe-Signature Stripe-Version
X-Access-Token X-Algolia-API-Key X-Algolia-Application-Id X-Amz-Content-Sha256
X-Amz-Date X-Amz-Security-Token X-Amz-Target X-Amz-User-Agent X-Amzn-Trace-Id
X-Api-Key X-Api-Version X-Atlassian-Token X-Auth-Key X-Auth-Token X-Consul-Token
X-Discord-Locale X-Firebase-AppCheck X-Firebase-GMPID X-GitHub-Api-Version
X-GitHub-Delivery X-GitHub-Event X-Gitlab-Token X-Goog-Api-Client X-Goog-Api-Key
X-Goog-FieldMask X-Goog-Upload-Command X-Goog-User-Project X-Grafana-Org-Id
X-Hub-Signature-256 X-Nomad-Token X-Parse-Application-Id X-Parse-Session-Token
X-Plex-Token X-RapidAPI-Host X-RapidAPI-Key X-Okta-User-Agent-Extended X-Trino-User X-Scope-OrgID X-Session-Token X-Shopify-Access-Token X-Slack-Signature
X-Twilio-Signature X-Vault-Namespace X-Vault-Token anthropic-version x-api-key
x-ms-blob-type x-ms-client-request-id x-ms-date x-ms-version x-goog-request-params
"""

TRACES = """
B3 Baggage Elastic-Apm-Traceparent NewRelic Sentry-Trace Uber-Trace-Id X-B3-Sampled
X-B3-SpanId X-B3-TraceId X-Cloud-Trace-Context X-Correlation-Id X-Datadog-Parent-Id
X-Datadog-Trace-Id X-NewRelic-Id X-Amzn-RequestId CDN-Loop CF-IPCountry CF-Ray
"""

APPS = """
X-Account-Id X-App-Version X-Build X-Channel X-Client X-Device-Id X-Environment
X-Feature-Flags X-Language X-Locale X-Organization-Id X-Platform X-Region X-Request-Source X-Session-Id
X-Tenant X-Tenant-Id X-Timezone X-Transaction-Id X-Version X-Workspace-Id
"""

ORDINARY = sorted(
    set(f"{BROWSERS} {PAGES} {LIBRARIES} {SERVICES} {TRACES} {APPS}".split())
)
