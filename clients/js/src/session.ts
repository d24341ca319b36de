import type { EndReason, Session, SessionBody, Tenant } from "./types.js";

/** Returns the body with the flat view of it. */
export function toSession(body: SessionBody): Session {
  const { traits, metadata_public: meta = {}, ...identity } = body.identity;
  const roles: string[] = meta.roles ?? [];
  const tenants: Tenant[] = Object.entries<any>(meta.tenants ?? {}).map(([id, held]) => ({
    id,
    name: held?.name || null,
    role: held?.role || null,
  }));
  const active = body.tenant_id !== undefined ? body.tenant_id : meta.active_tenant_id;
  return {
    ...body,
    user: {
      id: identity.id,
      email: text(traits.email),
      emailVerified: traits.email_verified === true,
      name: nameOf(traits.name),
      image: text(traits.picture) ?? text(traits.image),
      roles,
      isAdmin: meta.admin === true,
      createdAt: identity.created_at ?? null,
      updatedAt: identity.updated_at ?? null,
    },
    tenant: tenants.find(({ id }) => id === active) ?? null,
    tenants,
  };
}

/** Returns the word for users of a reason of the gateway; null if it is no end of a session. */
export function endOf(reason: string | null | undefined): EndReason | null {
  switch (reason) {
    case "session_expired":
    case "session_idle":
    case "unknown_session":
      return "expired";
    case "session_revoked":
      return "revoked";
    default:
      return null;
  }
}

function nameOf(name: unknown): string | null {
  if (name && typeof name === "object") {
    const { first, last } = name as { first?: unknown; last?: unknown };
    return [text(first), text(last)].filter(Boolean).join(" ") || null;
  }
  return text(name);
}

function text(value: unknown): string | null {
  return typeof value === "string" && value ? value : null;
}
