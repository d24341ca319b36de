import { SessionUnavailable } from "./types.js";

/** The request did not come through the gateway, or its assertion is not valid. */
export class NotTheGateway extends Error {
  override readonly name = "NotTheGateway";

  /** @param code what is wrong, such as `bad_signature` or `wrong_audience` */
  constructor(readonly code: string) {
    super(`not from the gateway: ${code}`);
  }
}

export interface Expected {
  jwks: string;
  issuer: string;
  audience: string;
}

type Claims = Record<string, any>;
type Algorithms = { import: object; verify: object };

/** Seconds that clocks may differ. */
const SKEW = 5;
/** Milliseconds between two requests for the keys because of an unknown `kid`. */
const AGAIN = 5_000;
const PATIENCE = 5_000;

/** By the key: what the token says of its algorithm decides nothing. */
function algorithmOf(key: JsonWebKey & { alg?: string }): Algorithms | null {
  if (key.kty === "EC" && key.crv === "P-256") {
    const name = "ECDSA";
    return { import: { name, namedCurve: "P-256" }, verify: { name, hash: "SHA-256" } };
  }
  if (key.kty === "OKP" && key.crv === "Ed25519") return { import: { name: "Ed25519" }, verify: { name: "Ed25519" } };
  if (key.kty === "RSA") {
    const name = "RSASSA-PKCS1-v1_5";
    return { import: { name, hash: "SHA-256" }, verify: { name } };
  }
  return null;
}

const NAMES: Record<string, string> = { EC: "ES256", OKP: "EdDSA", RSA: "RS256" };

interface Key {
  alg: string;
  key: CryptoKey;
  verify: object;
}

/** Returns a function that verifies a JWT and returns its claims. */
export function verifier({ jwks, issuer, audience }: Expected): (token: string) => Promise<Claims> {
  let keys = new Map<string, Key>();
  let fetched = -Infinity;
  let fetching: Promise<void> | null = null;

  async function fetchKeys(): Promise<void> {
    fetched = performance.now();
    let answer: Response;
    let set: { keys: (JsonWebKey & { kid?: string })[] };
    try {
      answer = await fetch(jwks, { signal: AbortSignal.timeout(PATIENCE), cache: "no-store" });
      if (!answer.ok) throw new SessionUnavailable(answer.status);
      set = await answer.json();
    } catch (error) {
      throw error instanceof SessionUnavailable ? error : new SessionUnavailable();
    }
    const found = new Map<string, Key>();
    for (const key of set.keys ?? []) {
      const algorithms = algorithmOf(key);
      if (!algorithms || !key.kid) continue;
      const imported = await crypto.subtle.importKey("jwk", key, algorithms.import as never, false, ["verify"]);
      found.set(key.kid, { alg: NAMES[key.kty!]!, key: imported, verify: algorithms.verify });
    }
    keys = found;
  }

  async function keyOf(kid: string): Promise<Key> {
    // The first request, or a key that is new: after a rotation it is published first.
    if (!keys.has(kid) && (!keys.size || performance.now() - fetched > AGAIN)) {
      fetching ??= fetchKeys().finally(() => {
        fetching = null;
      });
    }
    if (!keys.has(kid) && fetching) await fetching;
    const key = keys.get(kid);
    if (!key) throw new NotTheGateway("unknown_key");
    return key;
  }

  return async (token) => {
    const parts = token.split(".");
    if (parts.length !== 3) throw new NotTheGateway("malformed");
    const [head, body, signature] = parts as [string, string, string];
    const { kid, alg, crit } = json(head);
    // RFC 7515, section 4.1.11: an extension that is not understood is a refusal.
    if (typeof kid !== "string" || crit !== undefined) throw new NotTheGateway("malformed");
    const key = await keyOf(kid);
    if (alg !== key.alg) throw new NotTheGateway("wrong_algorithm");
    const signed = new TextEncoder().encode(`${head}.${body}`);
    const valid = await crypto.subtle.verify(key.verify as never, key.key, bytes(signature), signed);
    if (!valid) throw new NotTheGateway("bad_signature");
    const claims = json(body);
    const now = Date.now() / 1000;
    if (claims.iss !== issuer) throw new NotTheGateway("wrong_issuer");
    if (![claims.aud].flat().includes(audience)) throw new NotTheGateway("wrong_audience");
    if (!(claims.exp > now - SKEW)) throw new NotTheGateway("expired");
    if (!((claims.nbf ?? now) <= now + SKEW)) throw new NotTheGateway("not_yet_valid");
    if (typeof claims.sub !== "string" || !claims.sub) throw new NotTheGateway("no_subject");
    return claims;
  };
}

function json(part: string): Claims {
  try {
    const found = JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(bytes(part)));
    if (found && typeof found === "object" && !Array.isArray(found)) return found;
  } catch {
    // Below, like everything else that is no object.
  }
  throw new NotTheGateway("malformed");
}

function bytes(text: string): Uint8Array<ArrayBuffer> {
  if (!/^[\w-]*$/.test(text)) throw new NotTheGateway("malformed");
  try {
    return Uint8Array.from(atob(text.replace(/-/g, "+").replace(/_/g, "/")), (c) => c.charCodeAt(0));
  } catch {
    throw new NotTheGateway("malformed");
  }
}
