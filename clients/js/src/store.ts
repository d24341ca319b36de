import type { EndReason } from "./types.js";

/*
 * What a page knows of its session, and when it asks again. One store for each page: the
 * package, a second copy of it and session.js share it. It has no types of the session,
 * so that session.js stays small; `state` has the shape of SessionState, with `body` for
 * the JSON of the response.
 */

export interface Body {
  session_id: string;
  tenant_id: string | null;
  expires_in: number;
  identity: { id: string };
}

export interface State {
  /** The session; null without one, or before the first response. */
  readonly body: Body | null;
  /** Before the first response. */
  readonly pending: boolean;
  /** The last question was not answered: status and Retry-After. */
  readonly failed: { status: number | null; retryAfter: number | null } | null;
  /** Why there is no session. */
  readonly reason: EndReason | "none" | null;
}

export type Listener = (now: State, before: State) => void;

export interface Store {
  state: State;
  /** Begins to ask, once, unless `body` says what the server rendered. */
  start(body?: Body | null): void;
  /** Asks, or waits for the question that is under way. */
  look(): Promise<State>;
  /** Asks after whatever happened before this call; the other tabs do, too. */
  fresh(): Promise<State>;
  listen(listener: Listener): () => void;
  /** Records the end of this page's own sign-out, and informs the other tabs. */
  signedOut(): void;
}

const KEY = Symbol.for("gateway.session.1");
const MARK = "gateway-session";
const URL_ = "/.gateway/session";
const POLL = 30_000;
/** Focus, navigation and the like come in bursts: one question for each five seconds. */
const PAUSE = 5_000;
/** A question that hangs must not hold up all later ones. */
const PATIENCE = 20_000;
/** The longest delay of a timer; a longer one fires at once. */
const LONGEST = 2 ** 31 - 1;
/** How long after a sign-out in another tab "revoked" means that. */
const LEAVING = 15_000;

export const PENDING: State = { body: null, pending: true, failed: null, reason: null };

/** Returns the store of this page. */
export function pageStore(): Store {
  const page = globalThis as unknown as Record<symbol, Store>;
  return (page[KEY] ??= makeStore());
}

function makeStore(): Store {
  const listeners = new Set<Listener>();
  let channel: BroadcastChannel | undefined; // in a page only: it keeps a server alive
  let started = false;
  let asking: Promise<State> | null = null;
  let known = ""; // the last session as text, without what changes by itself
  let endsAt = Infinity;
  let lookedAt = -Infinity;
  let left = -Infinity;
  let ending: ReturnType<typeof setTimeout>;
  let nudged: ReturnType<typeof setTimeout> | undefined;

  const announce = (message: string) => channel?.postMessage(message);
  const clock = () => performance.now();

  function become(state: State): void {
    const before = store.state;
    if (state === before) return;
    store.state = state;
    for (const listener of [...listeners]) {
      try {
        listener(state, before);
      } catch (error) {
        // Reported as uncaught; the other listeners must run.
        setTimeout(() => {
          throw error;
        });
      }
    }
  }

  function take(body: Body): boolean {
    const { expires_in: left_, ...rest } = body;
    endsAt = clock() + left_ * 1000;
    // Re-armed after every answer: an extended session ends later. Half a second late,
    // so that the gateway agrees.
    clearTimeout(ending);
    ending = setTimeout(look, Math.min(left_ * 1000 + 500, LONGEST));
    const text = JSON.stringify(rest);
    if (text === known && store.state.body && !store.state.failed) return false;
    const changed = text !== known || !store.state.body;
    known = text;
    become({ body: changed ? body : store.state.body, pending: false, failed: null, reason: null });
    return changed;
  }

  function none(word: string): boolean {
    const { body, reason: was } = store.state;
    let reason: EndReason | "none" = ENDS[word] ?? (body ? "signed_out" : "none");
    if (body) {
      // Ended by a form of another tab, and asked before the browser forgot the cookie.
      if (reason === "revoked" && clock() - left < LEAVING) reason = "signed_out";
      if (reason === "signed_out" && clock() >= endsAt) reason = "expired";
    } else if (was) {
      reason = was; // The first answer is the best: later ones may only know of no session.
    }
    clearTimeout(ending);
    if (!body && was && !store.state.failed) return false;
    become({ body: null, pending: false, failed: null, reason });
    return !!body;
  }

  function fail(status: number | null, retryAfter: number | null): void {
    const { body, reason, failed } = store.state;
    if (failed && failed.status === status) return;
    become({ body, pending: false, failed: { status, retryAfter }, reason });
  }

  /** Returns whether another tab of this browser knew another session, or none. */
  function moved(mark: string): boolean {
    try {
      if ((localStorage.getItem(MARK) ?? "") === mark) return false;
      localStorage.setItem(MARK, mark);
      return true;
    } catch {
      return false; // storage is blocked
    }
  }

  async function ask(received: boolean): Promise<State> {
    const first = store.state.pending;
    lookedAt = clock();
    const given = new AbortController();
    const patience = setTimeout(() => given.abort(), PATIENCE);
    let changed = false;
    try {
      const answer = await fetch(URL_, { cache: "no-store", signal: given.signal });
      const said = await answer.json().catch(() => ({}));
      // Anything else, a 503 above all, does not say whether there is a session.
      if (answer.status === 200 && said.session_id) {
        changed = take(said) && !first;
        changed = moved(`${said.session_id} ${said.tenant_id}`) || changed;
      } else if (answer.status === 401 && said.reason) {
        changed = none(said.reason);
        changed = moved("") || changed;
      } else fail(answer.status, Number(answer.headers.get("Retry-After")) || null);
    } catch {
      fail(null, null);
    }
    clearTimeout(patience);
    // Not after a message: the tab that sent it sent it to all tabs.
    if (changed && !received) announce("look");
    return store.state;
  }

  /** `again`: a question under way may have been answered before what this one is about. */
  function question(again = false, received = false): Promise<State> {
    if (asking && !again) return asking;
    const mine: Promise<State> = (asking ? asking.then(() => ask(received)) : ask(received)).finally(() => {
      if (asking === mine) asking = null;
    });
    return (asking = mine);
  }

  const look = () => question();

  function nudge(): void {
    if (nudged !== undefined) return;
    const wait = Math.max(0, lookedAt + PAUSE - clock());
    nudged = setTimeout(() => {
      nudged = undefined;
      void look();
    }, wait);
  }

  function receive({ data }: MessageEvent): void {
    if (data === "logout") left = clock();
    // The form of the other tab may be answered later than this question.
    const waits = data === "look" ? [0] : [0, 250, 1000, 3000];
    for (const wait of waits) setTimeout(() => question(true, true), wait);
  }

  function submitted(event: SubmitEvent): void {
    const from = event.submitter?.getAttribute("formaction");
    const to = new URL(from || (event.target as Element).getAttribute("action") || "", location.href);
    const found = /^\/\.gateway\/(logout|tenant)$/.exec(to.pathname);
    if (found && to.origin === location.origin) announce(found[1]!);
  }

  function watch(): void {
    // Frameworks replace the entry of the history without going anywhere.
    let { href } = location;
    const navigated = () => {
      if (location.href !== href) nudge();
      href = location.href;
    };
    if (typeof BroadcastChannel === "function") {
      channel = new BroadcastChannel(MARK);
      channel.onmessage = receive;
    }
    document.addEventListener("submit", submitted);
    document.addEventListener("visibilitychange", () => document.hidden || nudge());
    for (const name of ["focus", "online"]) addEventListener(name, nudge);
    addEventListener("pageshow", (event) => event.persisted && nudge());
    const { navigation } = globalThis as { navigation?: EventTarget };
    if (navigation) navigation.addEventListener("currententrychange", navigated);
    else {
      addEventListener("popstate", navigated);
      for (const name of ["pushState", "replaceState"] as const) {
        const original = history[name];
        history[name] = function (...words) {
          original.apply(this, words);
          navigated();
        };
      }
    }
    setInterval(() => {
      if (!document.hidden && store.state.body) nudge();
    }, POLL);
  }

  const store: Store = {
    state: PENDING,
    start(body) {
      if (typeof document === "undefined") return;
      if (body !== undefined && store.state.pending) {
        lookedAt = clock();
        if (body) take(body);
        else none("");
      }
      if (started) return;
      started = true;
      watch();
      if (store.state.pending) void look();
    },
    look,
    fresh() {
      announce("look");
      return question(true);
    },
    listen(listener) {
      // Each call counts, also with the same function.
      const own: Listener = (now, before) => listener(now, before);
      listeners.add(own);
      return () => void listeners.delete(own);
    },
    signedOut() {
      left = clock();
      none("no_session");
      moved("");
      announce("logout");
    },
  };
  return store;
}

const ENDS: Record<string, EndReason> = {
  session_expired: "expired",
  session_idle: "expired",
  unknown_session: "expired",
  session_revoked: "revoked",
};
