// Compiled, not run: the exports as an app names them. `@ts-expect-error` is a test, too.
import { GatewayError, type SessionState, SessionUnavailable, getSession, getToken, logout, onSessionChange, refetch, switchTenant } from "@gateway/client";
import { SessionProvider as Next, type AccountContext, getAccountContext, getEndReason, getLogoutFlow, getServerSession, isUserAdmin, protectedRoute, requireActiveOrganizationId, requireAdmin } from "@gateway/client/next";
import { SessionProvider, useSession, useTenant } from "@gateway/client/react";
import { type Gateway, NotTheGateway, createGateway } from "@gateway/client/server";

export function Badge() {
  const { data, isPending, error, reason, refetch } = useSession();
  const { tenant, tenants, switchTenant } = useTenant();
  if (isPending) return null;
  if (error && !data) return <p>{error.retryAfter}</p>;
  if (!data) {
    const word: "expired" | "revoked" | "signed_out" | "none" | null = reason;
    return <p onClick={() => refetch()}>{word}</p>;
  }
  const email: string | null = data.user.email;
  return <p onClick={() => switchTenant(null)}>{email} {tenant?.name} {tenants?.length} {data.expires_at}</p>;
}

export function narrows(state: SessionState): string {
  if (state.data) return state.data.identity.traits.email;
  // @ts-expect-error: without data there is no user
  return state.data.user.id;
}

export async function browser(): Promise<void> {
  const session = await getSession();
  // @ts-expect-error: there may be no session
  session.user;
  const end: () => void = onSessionChange((now, before) => now.reason === before.reason);
  end();
  const state: SessionState = await refetch();
  await logout({ everywhere: state.isPending });
  const token: string = await getToken("browser");
  await switchTenant(token).catch((error) => error instanceof GatewayError && error.reason);
  // @ts-expect-error: an id, or null for personal
  await switchTenant();
}

export async function express(request: { headers: Record<string, string | string[] | undefined> }) {
  const gateway: Gateway = createGateway({ url: "http://127.0.0.1:8080", audience: "web" });
  try {
    return (await gateway.getSession(request.headers)) ?? gateway.endReason(new Headers());
  } catch (error) {
    if (error instanceof SessionUnavailable) return error.status;
    if (error instanceof NotTheGateway) return error.code;
    throw error;
  }
}

export async function Page() {
  const session = await getServerSession();
  const { user } = await protectedRoute("/auth/login");
  const admin: string = (await requireAdmin("/")).id;
  const context: AccountContext = await getAccountContext();
  const organization: string = context.isOrganization ? context.activeOrganizationId : await requireActiveOrganizationId();
  const flow = await getLogoutFlow({ returnTo: "/" });
  return (
    <Next>
      <SessionProvider session={session}>
        <form method="post" action={flow?.logout_url}>{user.name} {admin} {organization} {await isUserAdmin()} {await getEndReason()}</form>
      </SessionProvider>
    </Next>
  );
}
