import { endOf, toSession } from "./session.js";
import { type EndReason, type Session, type SessionBody, SessionUnavailable, type Tenant } from "./types.js";
import { NotTheGateway, verifier } from "./verify.js";

export type { EndReason, Session, Tenant, User } from "./types.js";
export { SessionUnavailable } from "./types.js";
export { NotTheGateway } from "./verify.js";

export interface GatewayOptions {
  /** Where this server reaches the gateway, for its public keys. Default: GATEWAY_URL. */
  url?: string;
  /** `tokens.issuer` of the gateway. Default: GATEWAY_ISSUER, else `url`. */
  issuer?: string;
  /** `audience` of the token profile. Default: GATEWAY_AUDIENCE, else `web`. */
  audience?: string;
  /** `header` of the token profile. Default: X-Auth-Assertion. */
  header?: string;
}

export type HeaderBag = Headers | Record<string, string | string[] | undefined>;

export interface Gateway {
  /**
   * Returns the session of a request; null if there is none, or it has ended.
   *
   * @throws SessionUnavailable if the gateway could not find out, or its keys are unreachable.
   * @throws NotTheGateway if the request did not come through the gateway.
   */
  getSession(headers: HeaderBag): Promise<Session | null>;
  /** Returns why a request has no session; null if none has ended. */
  endReason(headers: HeaderBag): EndReason | null;
}

/** Returns the reader of requests that the gateway forwarded. */
export function createGateway(options: GatewayOptions = {}): Gateway {
  const url = (options.url ?? env("GATEWAY_URL") ?? "").replace(/\/$/, "");
  if (!/^https?:\/\//.test(url)) throw new TypeError("createGateway: url is missing; set it, or GATEWAY_URL");
  const verify = verifier({
    jwks: `${url}/.gateway/jwks.json`,
    issuer: options.issuer ?? env("GATEWAY_ISSUER") ?? url,
    audience: options.audience ?? env("GATEWAY_AUDIENCE") ?? "web",
  });
  const header = options.header ?? "X-Auth-Assertion";
  return {
    async getSession(headers) {
      const assertion = read(headers, header)?.replace(/^Bearer /, "");
      if (assertion) return fromClaims(await verify(assertion));
      if (read(headers, "X-Auth-User-Id")) throw new NotTheGateway("no_assertion");
      if (read(headers, "X-Auth-Status") === "unavailable") throw new SessionUnavailable(503);
      return null;
    },
    endReason: (headers) => endOf(read(headers, "X-Auth-Status")),
  };
}

/** Returns the session that an assertion describes (docs/tokens.md, session claims). */
function fromClaims(claims: Record<string, any>): Session {
  const listed: Partial<Tenant>[] | undefined = claims.tenants;
  const held = (listed ?? (claims.tenant ? [claims.tenant] : [])).filter(({ id }) => id);
  const { email, email_verified, name, picture } = claims;
  const body: SessionBody = {
    id: claims.sid,
    active: true,
    expires_at: iso(claims.session_exp ?? claims.exp)!,
    authenticated_at: iso(claims.auth_time),
    authenticator_assurance_level: claims.acr ?? "aal1",
    authentication_methods: claims.amr?.map((method: string) => ({ method })),
    identity: defined({
      id: claims.sub,
      traits: defined({ email, email_verified, name, picture }),
      metadata_public: {
        roles: claims.roles ?? [],
        admin: claims.admin === true,
        tenants: Object.fromEntries(held.map(({ id, name, role }) => [id, defined({ name, role })])),
        active_tenant_id: claims.tenant?.id ?? null,
      },
      created_at: iso(claims.created_at),
      updated_at: iso(claims.updated_at),
    }),
  };
  const session = toSession(defined(body) as SessionBody);
  if (!listed) delete session.tenants;
  return session;
}

function read(headers: HeaderBag, name: string): string | undefined {
  if (typeof headers.get === "function") return (headers as Headers).get(name) ?? undefined;
  const bag = headers as Record<string, string | string[] | undefined>;
  const found = bag[name.toLowerCase()] ?? bag[name];
  // Two values are two senders.
  return Array.isArray(found) ? (found.length === 1 ? found[0] : undefined) : found;
}

function iso(time: unknown): string | undefined {
  if (typeof time === "string") return time;
  return typeof time === "number" ? new Date(time * 1000).toISOString() : undefined;
}

function defined<T extends object>(values: T): T {
  return Object.fromEntries(Object.entries(values).filter(([, value]) => value !== undefined)) as T;
}

function env(name: string): string | undefined {
  return (globalThis as { process?: { env: Record<string, string | undefined> } }).process?.env[name] || undefined;
}
