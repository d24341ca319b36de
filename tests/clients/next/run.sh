#!/usr/bin/env bash
# Builds a Next.js app with this package, runs it behind the gateway, and checks it.
# By hand or in CI: it downloads Next.js. Needs the gateway's .venv, node and npm.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../../.." && pwd)
package="$root/clients/js"
work=$(mktemp -d)
pids=()
trap 'kill "${pids[@]}" 2>/dev/null || true; rm -rf "$work"' EXIT

cd "$package"
[[ -d node_modules ]] || npm ci --ignore-scripts --no-audit --no-fund
npm run --silent build
npm pack --silent --ignore-scripts --pack-destination "$work"
cp -r "$here/app" "$here/next.config.mjs" "$here/package.json" "$here/check.py" "$here/gateway.yaml" "$work"
cd "$work"
npm install --no-audit --no-fund "$work"/gateway-client-*.tgz
NEXT_TELEMETRY_DISABLED=1 npx next build
export GATEWAY_URL=http://127.0.0.1:18080 GATEWAY_ISSUER=http://localhost:18080
NEXT_TELEMETRY_DISABLED=1 node node_modules/next/dist/bin/next start -H 127.0.0.1 -p 13000 & pids+=($!)
"$root/.venv/bin/gateway" run -c gateway.yaml > gateway.log & pids+=($!)
PYTHONPATH="$root" "$root/.venv/bin/python" check.py
