// A real OpenID provider for tests: node idp.mjs PORT RP_ORIGIN
// People: alice, bob (unverified e-mail), carol (no e-mail, 300 groups); password of all: pw.
// Control: /control/rotate[?drop=1], /control/set?id=60, POST /control/person id=&disabled=&claims=
import http from 'node:http';
import { generateKeyPairSync, randomUUID } from 'node:crypto';
import Provider, { interactionPolicy } from 'oidc-provider';

const PORT = Number(process.argv[2]);
const RP = process.argv[3];
const ISSUER = `http://127.0.0.1:${PORT}`;
const PLACE = `${RP}/.gateway/sign-in/acme`;
const CALLBACK = `${PLACE}/callback`;

// --- people -------------------------------------------------------------
const people = {
  alice: { name: 'Alice Archer', email: 'alice@example.com', email_verified: true, roles: ['staff', 'admin'], groups: ['/engineering'],
    organizations: { acme: { id: 'o-1', roles: ['owner'] }, globex: { id: 'o-2', roles: ['viewer'] } } },
  bob: { name: 'Bob Barker', email: 'bob@example.com', email_verified: false, roles: ['guest'], groups: [], organizations: { globex: { id: 'o-2', roles: ['viewer'] } } },
  carol: { name: 'Cärol 🐈', roles: ['staff'], groups: Array.from({ length: 300 }, (_, i) => `/g/${i}`), organizations: {} },   // no e-mail, big token
};
const disabled = new Set();

// --- keys: rotate() puts a new one in front; old ones stay published -----
let serial = 0;
const key = (type) => {
  const { privateKey } = type === 'EC' ? generateKeyPairSync('ec', { namedCurve: 'P-256' }) : generateKeyPairSync('rsa', { modulusLength: 2048 });
  return { ...privateKey.export({ format: 'jwk' }), use: 'sig', kid: `k${++serial}`, alg: type === 'EC' ? 'ES256' : 'RS256' };
};
let keys = [key('RSA'), key('EC')];

// --- clients --------------------------------------------------------------
const common = { redirect_uris: [CALLBACK], post_logout_redirect_uris: [`${RP}/`, `${RP}/.gateway/signed-out`],
  grant_types: ['authorization_code', 'refresh_token'], response_types: ['code'],
  backchannel_logout_uri: `${PLACE}/backchannel-logout`, backchannel_logout_session_required: true };
export const clients = [
  { ...common, client_id: 'gateway', client_secret: 'gateway-secret-0123456789abcdef0123', token_endpoint_auth_method: 'client_secret_basic' },
  { ...common, client_id: 'gateway-post', client_secret: 'gateway-secret-0123456789abcdef0123', token_endpoint_auth_method: 'client_secret_post' },
  { ...common, client_id: 'gateway-public', token_endpoint_auth_method: 'none' },
  { ...common, client_id: 'gateway-par', client_secret: 'gateway-secret-0123456789abcdef0123', require_pushed_authorization_requests: true },
  { ...common, client_id: 'gateway-es256', client_secret: 'gateway-secret-0123456789abcdef0123', id_token_signed_response_alg: 'ES256' },
  { client_id: 'job', client_secret: 'gateway-secret-0123456789abcdef0123', grant_types: ['client_credentials'], redirect_uris: [], response_types: [] },
  ...(process.env.RP_JWKS ? [{ ...common, client_id: 'gateway-jwt', token_endpoint_auth_method: 'private_key_jwt', jwks: JSON.parse(process.env.RP_JWKS) }] : []),
];

const store = new Map();                                         // outlives a key rotation
class Memory {
  constructor(name) { this.name = name; }
  k(id) { return `${this.name}:${id}`; }
  async upsert(id, payload, ttl) { store.set(this.k(id), { payload, until: ttl ? Date.now() + ttl * 1000 : Infinity }); }
  async find(id) { const e = store.get(this.k(id)); return e && e.until > Date.now() ? e.payload : undefined; }
  async findByUid(uid) { for (const [k, e] of store) if (k.startsWith(`${this.name}:`) && e.payload.uid === uid) return e.payload; }
  async findByUserCode() {}
  async destroy(id) { store.delete(this.k(id)); }
  async consume(id) { const e = store.get(this.k(id)); if (e) e.payload.consumed = Math.floor(Date.now() / 1000); }
  async revokeByGrantId(g) { for (const [k, e] of store) if (k.startsWith(`${this.name}:`) && e.payload.grantId === g) store.delete(k); }
}

const ACR = ['urn:example:pwd', 'urn:example:mfa'];
const settings = { access: 300, id: 3600, refresh: 86400, code: 60, rotateRefreshToken: true };

function build() {
  const policy = interactionPolicy.base();
  // a wanted acr that the session does not have yet asks for a sign-in again
  policy.get('login').checks.add(new interactionPolicy.Check('acr_step_up', 'a stronger sign-in is wanted', (ctx) => {
    const wanted = (ctx.oidc.params.acr_values ?? '').split(' ').filter(Boolean);
    const have = ACR.indexOf(ctx.oidc.session.acr);
    return wanted.length > 0 && ctx.oidc.session.accountId && have < Math.min(...wanted.map((a) => (ACR.includes(a) ? ACR.indexOf(a) : 0)));
  }));
  const provider = new Provider(ISSUER, {
    adapter: Memory, clients, jwks: { keys }, acrValues: ACR,
    cookies: { keys: ['test-cookie-key'] },
    scopes: ['openid', 'offline_access', 'profile', 'email', 'groups', 'organizations'],
    claims: { openid: ['sub', 'acr', 'amr', 'auth_time'], profile: ['name', 'preferred_username'], email: ['email', 'email_verified'], groups: ['groups', 'roles'], organizations: ['organizations'], sid: null, iss: null },
    conformIdTokenClaims: false,                                  // claims in the ID token too
    findAccount: async (ctx, id) => (people[id] && !disabled.has(id) ? { accountId: id, claims: async () => ({ sub: id, preferred_username: id, ...people[id] }) } : undefined),
    interactions: { policy, url: (ctx, i) => `/interaction/${i.uid}` },
    loadExistingGrant: async (ctx) => {                           // no consent page: what is asked for is granted
      const known = ctx.oidc.session.grantIdFor(ctx.oidc.client.clientId);
      const grant = (known && await ctx.oidc.provider.Grant.find(known)) || new ctx.oidc.provider.Grant({ clientId: ctx.oidc.client.clientId, accountId: ctx.oidc.session.accountId });
      grant.addOIDCScope('openid offline_access profile email groups organizations');
      await grant.save();
      return grant;
    },
    issueRefreshToken: async (ctx, client, code) => client.grantTypeAllowed('refresh_token'),
    rotateRefreshToken: () => settings.rotateRefreshToken,
    pkce: { required: () => true },
    extraTokenClaims: async (ctx, token) => (token.resourceServer ? { groups: ['staff'], organizations: { acme: { id: 'o-1', roles: ['owner'] } } } : undefined),
    features: { clientCredentials: { enabled: true },
      resourceIndicators: { enabled: true, defaultResource: () => undefined, useGrantedResource: () => false,   // JWT access tokens for an API (RFC 8707, RFC 9068)
        getResourceServerInfo: (ctx, resource) => ({ scope: 'items', audience: resource, accessTokenTTL: settings.access, accessTokenFormat: 'jwt' }) },
      devInteractions: { enabled: false }, backchannelLogout: { enabled: true }, claimsParameter: { enabled: true }, dPoP: { enabled: true },
      pushedAuthorizationRequests: { enabled: true }, revocation: { enabled: true }, introspection: { enabled: true },
      rpInitiatedLogout: { enabled: true, logoutSource: (ctx, form) => { ctx.body = `<!doctype html><title>Sign out</title>${form}<button form="op.logoutForm" name="logout" value="yes">Yes</button>`; } } },
    // TEST ONLY: the provider's own guard (options.dispatcher) refuses 127.0.0.1, where the relying party of a test lives
    fetch: (url, { dispatcher, ...options }) => fetch(url, options),
    ttl: { AccessToken: () => settings.access, AuthorizationCode: () => settings.code, IdToken: () => settings.id, RefreshToken: () => settings.refresh, Interaction: 600, Session: 86400, Grant: 86400 },
    renderError: (ctx, out) => { ctx.type = 'json'; ctx.body = out; },
  });
  for (const e of ['backchannel.success', 'backchannel.error', 'server_error', 'grant.error', 'authorization.error']) provider.on(e, (...a) => console.error(e, a.find((x) => x instanceof Error)?.error_description ?? a.find((x) => x instanceof Error)?.message ?? ''));
  return provider;
}
let provider = build(); let callback = provider.callback();

// --- pages and control ------------------------------------------------------
const body = async (req) => { let s = ''; for await (const c of req) s += c; return Object.fromEntries(new URLSearchParams(s)); };
http.createServer(async (req, res) => {
  const send = (code, text, type = 'application/json') => { res.writeHead(code, { 'content-type': type }); res.end(typeof text === 'string' ? text : JSON.stringify(text)); };
  try {
    const url = new URL(req.url, ISSUER);
    if (url.pathname.startsWith('/interaction/')) {
      const i = await provider.interactionDetails(req, res);
      if (req.method === 'GET') return send(200, `<!doctype html><title>Test sign-in</title><h1>${i.prompt.name} ${i.prompt.reasons.join(',')}</h1><form method=post><input name=login autofocus><input name=password type=password><label><input type=checkbox name=mfa value=1>second factor</label><button name=do value=login>Sign in</button><button name=do value=cancel>Cancel</button></form>`, 'text/html; charset=utf-8');
      const f = await body(req);
      if (f.do === 'cancel') return provider.interactionFinished(req, res, { error: 'access_denied', error_description: 'the user said <b>no</b>' }, { mergeWithLastSubmission: false });
      if (!people[f.login] || f.password !== 'pw') return send(401, 'wrong', 'text/plain');
      return provider.interactionFinished(req, res, { login: { accountId: f.login, acr: f.mfa ? ACR[1] : ACR[0], amr: f.mfa ? ['pwd', 'otp'] : ['pwd'], remember: true } }, { mergeWithLastSubmission: false });
    }
    if (url.pathname === '/control/rotate') { keys = [key('RSA'), key('EC'), ...keys]; if (url.searchParams.has('drop')) keys = keys.slice(0, 2); provider = build(); callback = provider.callback(); return send(200, keys.map((k) => k.kid)); }
    if (url.pathname === '/control/set') { for (const [k, v] of url.searchParams) settings[k] = JSON.parse(v); return send(200, settings); }
    if (url.pathname === '/control/person') { const f = await body(req); Object.assign(people[f.id] ??= {}, JSON.parse(f.claims ?? '{}')); f.disabled === 'true' ? disabled.add(f.id) : disabled.delete(f.id); return send(200, people[f.id]); }
    return callback(req, res);
  } catch (e) { send(e.status ?? 500, { error: e.error ?? 'server_error', error_description: String(e.error_description ?? e.message) }); }
}).listen(PORT, '127.0.0.1', () => console.log(`ready ${ISSUER}`));
