import assert from "node:assert/strict";
import { generateKeyPairSync, sign } from "node:crypto";
import { createServer } from "node:http";
import { after, test } from "node:test";
import { NotTheGateway, SessionUnavailable, createGateway } from "../dist/server.js";

// Debian 12's Node 18 has it behind a flag only.
globalThis.crypto ??= (await import("node:crypto")).webcrypto;

const NOW = Math.floor(Date.now() / 1000);
const CLAIMS = {
  iss: "https://app.test", aud: "web", sub: "u_ada", sid: "s1", iat: NOW, nbf: NOW, exp: NOW + 60, jti: "j",
  email: "ada@example.com", email_verified: true, name: "Ada Ünal", roles: ["admin", "a,b"], admin: true,
  tenant: { id: "t1", name: "Acme", role: "owner" },
  tenants: [{ id: "t1", name: "Acme", role: "owner" }, { id: "t2" }],
  auth_time: NOW - 9, amr: ["password", "totp"], acr: "aal2", session_exp: NOW + 3600,
};
const KEYS = {
  ES256: generateKeyPairSync("ec", { namedCurve: "P-256" }),
  EdDSA: generateKeyPairSync("ed25519"),
  RS256: generateKeyPairSync("rsa", { modulusLength: 2048 }),
};
const encode = (value) => Buffer.from(typeof value === "string" ? value : JSON.stringify(value)).toString("base64url");

function token(changes = {}, { alg = "ES256", kid = alg, head = {}, signer = alg } = {}) {
  const signed = `${encode({ alg, kid, typ: "JWT", ...head })}.${encode({ ...CLAIMS, ...changes })}`;
  const key = { key: KEYS[signer].privateKey, dsaEncoding: "ieee-p1363" };
  return `${signed}.${sign(signer === "EdDSA" ? null : "sha256", Buffer.from(signed), key).toString("base64url")}`;
}

let asked = 0;
let published = ["ES256", "EdDSA", "RS256"];
let status = 200;
const listener = createServer((_, response) => {
  asked += 1;
  response.statusCode = status;
  const keys = published.map((kid) => ({ ...KEYS[kid].publicKey.export({ format: "jwk" }), kid, alg: kid, use: "sig" }));
  response.end(JSON.stringify({ keys: [{ kty: "oct", k: "eA", kid: "secret" }, { kty: "EC" }, ...keys] }));
});
await new Promise((ready) => listener.listen(0, "127.0.0.1", ready));
after(() => {
  listener.close();
  listener.closeAllConnections();
});
const url = `http://127.0.0.1:${listener.address().port}/`;
const gateway = (more = {}) => createGateway({ url, issuer: "https://app.test", audience: "web", ...more });
const carrying = (assertion) => ({ "x-auth-assertion": assertion, "x-auth-user-id": "u_ada" });

for (const alg of Object.keys(KEYS)) {
  test(`${alg}: the session of an assertion`, async () => {
    const session = await gateway().getSession(carrying(token({}, { alg })));
    assert.equal(session.id, "s1");
    assert.equal(session.user.name, "Ada Ünal");
    assert.equal(session.user.isAdmin, true);
    assert.deepEqual(session.user.roles, ["admin", "a,b"]);
    assert.deepEqual(session.tenant, { id: "t1", name: "Acme", role: "owner" });
    assert.deepEqual(session.tenants[1], { id: "t2", name: null, role: null });
    assert.equal(session.authenticator_assurance_level, "aal2");
    assert.equal(session.expires_at, new Date((NOW + 3600) * 1000).toISOString());
    assert.deepEqual(session, JSON.parse(JSON.stringify(session))); // plain: may be a prop
  });
}

const [head, body, signature] = token().split(".");
const REFUSED = {
  "another key": [token({}, { signer: "ES256", kid: "EdDSA", alg: "EdDSA" }), "bad_signature"],
  "no signature": [`${encode({ alg: "none", kid: "ES256" })}.${body}.`, "wrong_algorithm"],
  "HMAC with the public key": [token({}, { head: { alg: "HS256" } }), "wrong_algorithm"],
  "an algorithm of another type": [token({}, { head: { alg: "RS256" } }), "wrong_algorithm"],
  "changed claims": [`${head}.${encode({ ...CLAIMS, sub: "u_zoe" })}.${signature}`, "bad_signature"],
  "another issuer": [token({ iss: "https://evil.test" }), "wrong_issuer"],
  "another audience": [token({ aud: "api" }), "wrong_audience"],
  "audiences without ours": [token({ aud: ["a", "b"] }), "wrong_audience"],
  "an audience that contains ours": [token({ aud: "webapp" }), "wrong_audience"],
  expired: [token({ exp: NOW - 6 }), "expired"],
  "no exp": [token({ exp: undefined }), "expired"],
  "exp as text": [token({ exp: "x" }), "expired"],
  "of the future": [token({ nbf: NOW + 60 }), "not_yet_valid"],
  "no subject": [token({ sub: "" }), "no_subject"],
  crit: [token({}, { head: { crit: ["exp"] } }), "malformed"],
  "no kid": [token({}, { head: { kid: undefined } }), "malformed"],
  "an unknown kid": [token({}, { kid: "x" }), "unknown_key"],
  "a secret key": [token({}, { kid: "secret" }), "unknown_key"],
  "two parts": [`${head}.${body}`, "malformed"],
  "no JSON": [`${encode("x")}.${body}.${signature}`, "malformed"],
  "a list": [`${encode([])}.${body}.${signature}`, "malformed"],
  "standard base64": [`${head}.${body}.${signature}==`, "malformed"],
};
for (const [what, [sent, code]] of Object.entries(REFUSED)) {
  test(`refused: ${what}`, async () => {
    await assert.rejects(gateway().getSession(carrying(sent)), (error) => {
      assert.ok(error instanceof NotTheGateway);
      assert.equal(error.code, code);
      return true;
    });
  });
}

test("identity headers without an assertion are not the gateway's", async () => {
  await assert.rejects(gateway().getSession({ "x-auth-user-id": "u_ada" }), { code: "no_assertion" });
});

test("no session, an end, and an outage are three things", async () => {
  const { getSession, endReason } = gateway();
  for (const [status, reason] of [
    ["none", null], ["session_expired", "expired"], ["session_idle", "expired"], ["unknown_session", "expired"],
    ["session_revoked", "revoked"], [undefined, null], ["__proto__", null],
  ]) {
    assert.equal(await getSession({ "x-auth-status": status }), null);
    assert.equal(endReason({ "x-auth-status": status }), reason);
  }
  await assert.rejects(getSession({ "x-auth-status": "unavailable" }), SessionUnavailable);
});

test("headers of Fetch, of Node, and Bearer in Authorization", async () => {
  const sent = new Headers({ Authorization: `Bearer ${token()}` });
  assert.equal((await gateway({ header: "Authorization" }).getSession(sent)).id, "s1");
  const twice = { "x-auth-assertion": [token(), token()], "x-auth-user-id": "u" };
  await assert.rejects(gateway().getSession(twice), { code: "no_assertion" });
});

test("a list of audiences with ours, and memberships that are too many to list", async () => {
  const session = await gateway().getSession(carrying(token({ aud: ["api", "web"], tenants: undefined })));
  assert.equal(session.tenants, undefined);
  assert.equal(session.tenant.id, "t1");
});

test("the keys are fetched once, and again for a new one, at most every five seconds", async () => {
  published = ["ES256"];
  asked = 0;
  const { getSession } = gateway();
  await Promise.all([1, 2, 3].map(() => getSession(carrying(token()))));
  assert.equal(asked, 1);
  await assert.rejects(getSession(carrying(token({}, { alg: "RS256" }))), { code: "unknown_key" });
  await assert.rejects(getSession(carrying(token({}, { alg: "RS256" }))), { code: "unknown_key" });
  assert.equal(asked, 1);
  published = ["ES256", "EdDSA", "RS256"];
});

test("unreachable keys are an outage, not a refusal, and are fetched again", async () => {
  status = 503;
  const { getSession } = gateway();
  await assert.rejects(getSession(carrying(token())), SessionUnavailable);
  status = 200;
  assert.equal((await getSession(carrying(token()))).id, "s1");
  await assert.rejects(gateway({ url: "http://127.0.0.1:9" }).getSession(carrying(token())), SessionUnavailable);
});

test("the address of the gateway is required", () => {
  assert.throws(() => createGateway(), /GATEWAY_URL/);
  assert.throws(() => createGateway({ url: "app.test" }), TypeError);
});
