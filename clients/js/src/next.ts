import { headers } from "next/headers";
import { redirect } from "next/navigation";
import { type ReactNode, cache, createElement } from "react";
import { pageAddress } from "./next-address.js";
import { Refresh } from "./next-refresh.js";
import { SessionProvider as ClientProvider } from "./react.js";
import { type Gateway, createGateway } from "./server.js";
import { type EndReason, type Session, SessionUnavailable, type User } from "./types.js";

export type { EndReason, Session, SessionState, Tenant, User } from "./types.js";
export { NotTheGateway, SessionUnavailable } from "./server.js";

let known: Gateway | undefined;
const gateway = () => (known ??= createGateway());

/**
 * Returns the session of this request; null if there is none, or it has ended. The
 * assertion is verified once for each request.
 *
 * @throws SessionUnavailable if that could not be found out.
 */
export const getServerSession: () => Promise<Session | null> = cache(async () => {
  // First: it marks the page as dynamic, and a build may have no address of the gateway.
  const sent = await headers();
  return gateway().getSession(sent);
});

/** Returns why there is no session; null if none has ended. */
export async function getEndReason(): Promise<EndReason | null> {
  const sent = await headers();
  return gateway().endReason(sent);
}

/** For the root layout: the hooks know the session, and pages are rendered again when it changes. */
export async function SessionProvider(props: { children?: ReactNode }): Promise<ReactNode> {
  let session: Session | null | undefined;
  try {
    session = await getServerSession();
  } catch (error) {
    // The client asks by itself; a layout that throws would hide the page.
    if (!(error instanceof SessionUnavailable)) throw error;
  }
  return createElement(ClientProvider, { session }, createElement(Refresh), props.children);
}

/** Returns the session, or redirects to sign in and back. */
export async function protectedRoute(signInUrl = env("GATEWAY_SIGN_IN_URL") ?? "/auth/login"): Promise<Session> {
  const session = await getServerSession();
  if (session) return session;
  const sent = await headers();
  const status = sent.get("X-Auth-Status");
  const words = new URLSearchParams();
  const page = sent.get("X-Forwarded-Uri");
  if (page) words.set("return_to", pageAddress(page));
  words.set("reason", status && status !== "none" ? status : "no_session");
  redirect(`${signInUrl}${signInUrl.includes("?") ? "&" : "?"}${words}`);
}

/** Returns the user if it is an administrator; redirects otherwise. */
export async function requireAdmin(url = "/"): Promise<User> {
  const session = await getServerSession();
  if (!session?.user.isAdmin) redirect(url);
  return session.user;
}

export async function isUserAdmin(): Promise<boolean> {
  return (await getServerSession())?.user.isAdmin ?? false;
}

export type AccountContext = { user: User } & (
  | { isPersonal: true; isOrganization: false; activeOrganizationId: null; role: null }
  | { isPersonal: false; isOrganization: true; activeOrganizationId: string; role: string | null }
);

/**
 * Returns the user, and the active organization.
 *
 * @throws Error without a session.
 */
export async function getAccountContext(): Promise<AccountContext> {
  const session = await getServerSession();
  if (!session) throw new Error("getAccountContext: there is no session; call protectedRoute() first");
  const { user, tenant } = session;
  if (!tenant) return { user, isPersonal: true, isOrganization: false, activeOrganizationId: null, role: null };
  return { user, isPersonal: false, isOrganization: true, activeOrganizationId: tenant.id, role: tenant.role };
}

/** Returns the ID of the active organization; redirects without one. */
export async function requireActiveOrganizationId(url = "/.gateway/account"): Promise<string> {
  const { tenant } = await protectedRoute();
  return tenant?.id ?? redirect(url);
}

/**
 * Returns how to sign out; null without a session. A form posts to `logout_url`; a route
 * handler for POST returns `action()`, which has the browser post there.
 */
export async function getLogoutFlow(
  options: { returnTo?: string } = {},
): Promise<{ logout_url: string; action(): Promise<Response> } | null> {
  if (!(await getServerSession())) return null;
  const logout_url = `/.gateway/logout?${new URLSearchParams({ return_to: options.returnTo ?? "/" })}`;
  return {
    logout_url,
    // 307 keeps the method (RFC 9110, section 15.4.8).
    action: async () => new Response(null, { status: 307, headers: { Location: logout_url } }),
  };
}

function env(name: string): string | undefined {
  return (globalThis as { process?: { env: Record<string, string | undefined> } }).process?.env[name] || undefined;
}
