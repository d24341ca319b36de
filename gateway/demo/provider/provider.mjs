// The identity provider of `gateway demo --oidc`: node provider.mjs, settings in the environment.
// For a demo on one machine only: people and passwords are public, and nothing is kept.
import http from 'node:http';
import { generateKeyPairSync, randomBytes } from 'node:crypto';
import Provider from 'oidc-provider';

const { PORT, GATEWAY, CLIENT_SECRET, PEOPLE } = process.env;
const ISSUER = `http://127.0.0.1:${PORT}`;
const PLACE = `${GATEWAY}/.gateway/sign-in/harbour`;
const people = Object.fromEntries(JSON.parse(PEOPLE).map((person) => [person.sub, person]));

const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
const key = { ...privateKey.export({ format: 'jwk' }), use: 'sig', alg: 'ES256', kid: 'demo' };
const { privateKey: rsa } = generateKeyPairSync('rsa', { modulusLength: 2048 });
const rsaKey = { ...rsa.export({ format: 'jwk' }), use: 'sig', alg: 'RS256', kid: 'demo-rsa' };

const style = '<style>body{font:16px/1.5 system-ui;max-width:32rem;margin:3rem auto;padding:0 1rem}button,input{font:inherit;padding:.4rem .8rem}li{margin:.6rem 0;list-style:none}ul{padding:0}small{color:#666}</style>';
const page = (title, content) => `<!doctype html><html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>${title}</title>${style}<h1>${title}</h1>${content}</html>`;
const text = (value) => String(value).replace(/[&<>"']/g, (sign) => `&#${sign.charCodeAt(0)};`);

const provider = new Provider(ISSUER, {
  clients: [{
    client_id: 'gateway', client_secret: CLIENT_SECRET, grant_types: ['authorization_code', 'refresh_token'],
    response_types: ['code'], redirect_uris: [`${PLACE}/callback`],
    post_logout_redirect_uris: [`${GATEWAY}/.gateway/signed-out`],
    backchannel_logout_uri: `${PLACE}/backchannel-logout`, backchannel_logout_session_required: true,
  }],
  jwks: { keys: [key, rsaKey] },
  cookies: { keys: [randomBytes(16).toString('hex')] },
  scopes: ['openid', 'offline_access', 'profile', 'email', 'organizations'],
  claims: { openid: ['sub', 'auth_time'], profile: ['name'], email: ['email', 'email_verified'], organizations: ['roles', 'organizations'] },
  conformIdTokenClaims: false,
  issueRefreshToken: async (ctx, client) => client.grantTypeAllowed('refresh_token'),
  findAccount: async (ctx, sub) => people[sub] && { accountId: sub, claims: async () => people[sub] },
  interactions: { url: (ctx, interaction) => `/interaction/${interaction.uid}` },
  loadExistingGrant: async (ctx) => {
    const { client, session } = ctx.oidc;
    const grant = new ctx.oidc.provider.Grant({ clientId: client.clientId, accountId: session.accountId });
    grant.addOIDCScope('openid offline_access profile email organizations');
    await grant.save();
    return grant;
  },
  features: {
    devInteractions: { enabled: false }, backchannelLogout: { enabled: true }, pushedAuthorizationRequests: { enabled: true },
    rpInitiatedLogout: {
      enabled: true,
      logoutSource: (ctx, form) => { ctx.body = page('Sign out of Harbour ID?', `${form}<button form="op.logoutForm" name="logout" value="yes" autofocus>Sign out</button> <button form="op.logoutForm">Stay signed in</button>`); },
    },
  },
  // The gateway is on a loopback address, which the provider's own guard refuses to call.
  fetch: (url, { dispatcher, ...options }) => fetch(url, options),
  ttl: { AccessToken: 300, AuthorizationCode: 60, IdToken: 300, RefreshToken: 86400, Interaction: 900, Session: 86400, Grant: 86400 },
});
const callback = provider.callback();

const form = async (request) => {
  let content = '';
  for await (const part of request) content += part;
  return Object.fromEntries(new URLSearchParams(content));
};
const choice = () => page('Harbour ID', `<p>The identity provider of the demo. Choose who you are:</p><form method="post"><ul>${
  Object.values(people).map((p) => `<li><button name="sub" value="${text(p.sub)}">Sign in as ${text(p.name)}</button><br><small>${text(p.email)}, ${text(p.about)}</small></li>`).join('')
}</ul><button name="sub" value="">Cancel</button></form>`);

http.createServer(async (request, response) => {
  const send = (status, body) => { response.writeHead(status, { 'content-type': 'text/html; charset=utf-8' }); response.end(body); };
  try {
    if (!request.url.startsWith('/interaction/')) return callback(request, response);
    await provider.interactionDetails(request, response);
    if (request.method !== 'POST') return send(200, choice());
    const { sub } = await form(request);
    const result = people[sub] ? { login: { accountId: sub, amr: ['pwd'] } } : { error: 'access_denied' };
    return provider.interactionFinished(request, response, result, { mergeWithLastSubmission: false });
  } catch (error) {
    return send(error.statusCode ?? 500, page('This page is too old', `<p>${text(error.error_description ?? error.message)}</p>`));
  }
}).listen(Number(PORT), '127.0.0.1');
