/** An organization, and the user's role in it. */
export interface Tenant {
  id: string;
  name: string | null;
  role: string | null;
}

export interface User {
  id: string;
  email: string | null;
  emailVerified: boolean;
  name: string | null;
  image: string | null;
  roles: string[];
  /** By `roles.admin` of the gateway's configuration. */
  isAdmin: boolean;
  createdAt: string | null;
  updatedAt: string | null;
}

export interface Identity {
  id: string;
  traits: Record<string, any>;
  metadata_public?: Record<string, any>;
  created_at?: string;
  updated_at?: string;
}

/** The session as `GET /.gateway/session` returns it: Ory's names. */
export interface SessionBody {
  id: string;
  active: true;
  expires_at: string;
  /** Seconds left when the response was sent. Clocks of browsers are often wrong. */
  expires_in?: number;
  authenticated_at?: string;
  issued_at?: string;
  authenticator_assurance_level: "aal1" | "aal2" | "aal3";
  authentication_methods?: { method: string; aal?: string; completed_at?: string }[];
  identity: Identity;
  session_id?: string;
  tenant_id?: string | null;
}

/** The body, and a flat view of it. Plain data: it may be a prop from server to client. */
export interface Session extends SessionBody {
  user: User;
  /** The active organization; null: personal. */
  tenant: Tenant | null;
  /** All memberships; undefined if the assertion has too many to list. */
  tenants?: Tenant[];
}

export type EndReason = "expired" | "revoked" | "signed_out";

export type SessionState =
  | { data: null; isPending: true; error: null; reason: null }
  | { data: Session; isPending: false; error: SessionUnavailable | null; reason: null }
  | { data: null; isPending: false; error: null; reason: EndReason | "none" }
  | { data: null; isPending: false; error: SessionUnavailable; reason: null };

/** Whether there is a session could not be found out: a 503, another error, or no network. */
export class SessionUnavailable extends Error {
  override readonly name = "SessionUnavailable";

  /**
   * @param status of the response; null without one
   * @param retryAfter seconds; null if the response has none
   */
  constructor(
    readonly status: number | null = null,
    readonly retryAfter: number | null = null,
  ) {
    super(status === null ? "the gateway cannot be reached" : `the gateway responded with ${status}`);
  }
}
