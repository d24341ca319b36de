"use client";
import { type ReactNode, createContext, createElement, useContext, useEffect, useMemo, useSyncExternalStore } from "react";
import { type Session, type SessionState, type Tenant, refetch, switchTenant, toState } from "./index.js";
import { type Body, PENDING, pageStore } from "./store.js";

export type { EndReason, Session, SessionState, Tenant, User } from "./types.js";

const PENDING_STATE = toState(PENDING);
const Rendered = createContext<SessionState>(PENDING_STATE);

/**
 * Gives the hooks what the server knows, so that the first render is right and needs no
 * request. `null`: it knows that there is no session; left out: it does not know.
 */
export function SessionProvider(props: { session?: Session | null; children?: ReactNode }): ReactNode {
  const { session, children } = props;
  const rendered = useMemo(() => stateOf(session), [session]);
  // Before a child's first render on the client; it does nothing when the store is known.
  if (session !== undefined) pageStore().start(session && bodyOf(session));
  useEffect(() => {
    // A later response of the server may be older than what this page knows: ask.
    const { body } = pageStore().state;
    if (session !== undefined && (session && idOf(bodyOf(session))) !== (body && idOf(body))) {
      void pageStore().look();
    }
  }, [session]);
  return createElement(Rendered.Provider, { value: rendered }, children);
}

/** Returns the session, and renders again when it changes. */
export function useSession(): SessionState & { refetch(): Promise<SessionState> } {
  const rendered = useContext(Rendered);
  const state = useSyncExternalStore(subscribe, snapshot, () => rendered);
  return useMemo(() => ({ ...state, refetch }), [state]);
}

/** Returns the active organization, all memberships, and the function that switches. */
export function useTenant(): {
  tenant: Tenant | null;
  tenants: Tenant[] | undefined;
  switchTenant(id: string | null): Promise<Session>;
} {
  const { data } = useSession();
  return useMemo(
    () => ({ tenant: data?.tenant ?? null, tenants: data ? data.tenants : [], switchTenant }),
    [data],
  );
}

function subscribe(changed: () => void): () => void {
  const store = pageStore();
  const end = store.listen(changed);
  store.start();
  return end;
}

function snapshot(): SessionState {
  return toState(pageStore().state);
}

function stateOf(session: Session | null | undefined): SessionState {
  if (session === undefined) return PENDING_STATE;
  if (session === null) return { data: null, isPending: false, error: null, reason: "none" };
  return { data: session, isPending: false, error: null, reason: null };
}

function bodyOf(session: Session): Body {
  const { user, tenant, tenants, ...body } = session;
  return {
    ...body,
    session_id: body.session_id ?? body.id,
    tenant_id: tenant?.id ?? null,
    expires_in: body.expires_in ?? Math.max(0, (Date.parse(body.expires_at) - Date.now()) / 1000),
  };
}

function idOf({ session_id, tenant_id, identity }: Body): string {
  return JSON.stringify([session_id, tenant_id, (identity as Session["identity"]).metadata_public?.roles]);
}
