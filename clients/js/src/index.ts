import { toSession } from "./session.js";
import { type Body, type State, pageStore } from "./store.js";
import { type Session, type SessionState, SessionUnavailable } from "./types.js";

export type { EndReason, Session, SessionState, Tenant, User } from "./types.js";
export { SessionUnavailable } from "./types.js";

/** A refused sign-out, switch or token: `reason` is the gateway's word. */
export class GatewayError extends Error {
  override readonly name = "GatewayError";

  constructor(
    readonly status: number,
    readonly reason: string,
    detail?: string,
  ) {
    super(detail || `${reason} (${status})`);
  }
}

/**
 * Returns the session; null without one.
 *
 * @throws SessionUnavailable if that could not be found out.
 */
export async function getSession(): Promise<Session | null> {
  const store = pageStore();
  store.start();
  const state = toState(store.state.pending || store.state.failed ? await store.look() : store.state);
  if (state.error && !state.data) throw state.error;
  return state.data;
}

/** Asks the gateway now, for instance after a sign-in by `fetch`; the other tabs ask, too. */
export function refetch(): Promise<SessionState> {
  const store = pageStore();
  store.start();
  return store.fresh().then(toState);
}

/** Calls back at every change; returns the function that ends it. */
export function onSessionChange(callback: (now: SessionState, before: SessionState) => void): () => void {
  const store = pageStore();
  const end = store.listen((now, before) => callback(toState(now), toState(before)));
  store.start();
  return end;
}

/**
 * Ends the session; `everywhere`: first all other sessions of the user.
 *
 * @throws SessionUnavailable if it is unknown whether it ended.
 * @throws GatewayError if the gateway refused.
 */
export async function logout(options: { everywhere?: boolean } = {}): Promise<void> {
  if (options.everywhere) await call("DELETE", "/sessions", [401]);
  await call("POST", "/logout");
  pageStore().signedOut();
}

/**
 * Makes another membership the active tenant; null: none, personal.
 *
 * @throws GatewayError with `not_a_member`, or the reason why there is no session.
 */
export async function switchTenant(id: string | null): Promise<Session> {
  await call("POST", "/tenant", [], new URLSearchParams({ tenant_id: id ?? "" }));
  const state = await refetch();
  if (state.data) return state.data;
  throw state.error ?? new GatewayError(401, "no_session");
}

interface Held {
  owner: string;
  fresh: number;
  token: Promise<string>;
}

const tokens = new Map<string, Held>();

/**
 * Returns a token of a profile with `browser: true`. It is kept for half of its life, for
 * this session and tenant; concurrent callers share one request.
 *
 * @throws SessionUnavailable if that could not be found out.
 * @throws GatewayError if there is no session or no such profile.
 */
export async function getToken(profile: string): Promise<string> {
  const store = pageStore();
  // Else a page that does nothing else would keep the token of another tab's last user.
  store.start();
  const { body } = store.state.pending ? await store.look() : store.state;
  const owner = body ? `${body.session_id} ${body.tenant_id}` : "";
  const known = tokens.get(profile);
  if (known && known.owner === owner && performance.now() < known.fresh) return known.token;
  const held: Held = { owner, fresh: Infinity, token: askToken(profile) };
  tokens.set(profile, held);
  void held.token.then(
    (token) => {
      held.fresh = performance.now() + (lifeOf(token) * 1000) / 2;
    },
    () => tokens.get(profile) === held && tokens.delete(profile),
  );
  return held.token;
}

async function askToken(profile: string): Promise<string> {
  const answer = await call("GET", `/token?profile=${encodeURIComponent(profile)}`);
  const { token } = await answer.json();
  return token;
}

/** Returns the seconds between `iat` and `exp`: the browser's clock may be wrong. */
function lifeOf(token: string): number {
  try {
    const { iat, exp } = JSON.parse(atob(token.split(".")[1]!.replace(/-/g, "+").replace(/_/g, "/")));
    return exp - iat || 0;
  } catch {
    return 0;
  }
}

async function call(method: string, path: string, accepted: number[] = [], body?: BodyInit): Promise<Response> {
  let answer: Response;
  try {
    answer = await fetch(`/.gateway${path}`, {
      method,
      body,
      cache: "no-store",
      credentials: "same-origin",
      headers: { Accept: "application/json" },
    });
  } catch {
    throw new SessionUnavailable();
  }
  if (answer.ok || accepted.includes(answer.status)) return answer;
  if (answer.status >= 500) {
    throw new SessionUnavailable(answer.status, Number(answer.headers.get("Retry-After")) || null);
  }
  const problem = await answer.json().catch(() => ({}));
  throw new GatewayError(answer.status, problem.reason ?? "unknown", problem.detail);
}

const views = new WeakMap<State, SessionState>();
const sessions = new WeakMap<Body, Session>();

/** Returns the public view of a state; the same object for the same state. */
export function toState(state: State): SessionState {
  let view = views.get(state);
  if (!view) views.set(state, (view = viewOf(state)));
  return view;
}

function viewOf({ body, pending, failed, reason }: State): SessionState {
  const error = failed && new SessionUnavailable(failed.status, failed.retryAfter);
  if (body) {
    let data = sessions.get(body);
    if (!data) sessions.set(body, (data = toSession(body as never)));
    return { data, isPending: false, error, reason: null };
  }
  if (pending) return { data: null, isPending: true, error: null, reason: null };
  if (error) return { data: null, isPending: false, error, reason: null };
  return { data: null, isPending: false, error: null, reason: reason ?? "none" };
}
