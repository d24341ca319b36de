// A browser of several tabs with a clock that stands still: the bundle of the package runs
// in a context of its own for each tab. Nothing here sleeps.
import { fileURLToPath } from "node:url";
import vm from "node:vm";
import { build } from "esbuild";

const SRC = fileURLToPath(new URL("../src/", import.meta.url));

async function bundled(entry) {
  const { outputFiles } = await build({
    ...entry,
    bundle: true,
    write: false,
    format: "iife",
  });
  return outputFiles[0].text;
}

const core = 'export * from "./index.ts"; export { pageStore } from "./store.ts";';
export const CORE = await bundled({ stdin: { contents: core, resolveDir: SRC, loader: "ts" }, globalName: "gateway" });
export const SCRIPT = await bundled({ entryPoints: [`${SRC}script.ts`] });

export const ADA = body({ person: "u_ada", id: "s1" });

export function body({ person = "u_ada", id = "s1", tenant = "t1", left = 3600, roles = ["admin"] } = {}) {
  return {
    session_id: id,
    tenant_id: tenant,
    expires_in: left,
    expires_at: "2027-01-01T00:00:00Z",
    id,
    active: true,
    authenticator_assurance_level: "aal1",
    identity: {
      id: person,
      traits: { email: `${person}@example.com`, name: { first: "A", last: "B" } },
      metadata_public: {
        roles,
        admin: roles.includes("admin"),
        tenants: { t1: { name: "Acme", role: "owner" }, t2: { name: "", role: "" } },
        active_tenant_id: tenant,
      },
    },
  };
}

export class World {
  now = 0;
  timers = [];
  tabs = [];
  asked = []; // every request: { tab, method, path, body }
  storage = new Map();
  /** What the gateway answers to `GET /.gateway/session`: [status, body, headers] or Error. */
  session = [200, ADA, {}];
  /** What it answers to the rest, by "METHOD /path". */
  others = {};
  held = null; // while set, responses wait for release()

  tab(code = CORE, { storage = true } = {}) {
    const tab = new Tab(this, storage);
    this.tabs.push(tab);
    tab.run(code);
    return tab;
  }

  get looks() {
    return this.asked.filter(({ path }) => path === "/.gateway/session").length;
  }

  hold() {
    this.held = [];
  }

  async release() {
    const held = this.held;
    this.held = null;
    for (const resume of held) resume();
    await flush();
  }

  async pass(ms) {
    const until = this.now + ms;
    await flush();
    for (;;) {
      this.timers.sort((a, b) => a.at - b.at);
      if (!this.timers.length || this.timers[0].at > until) break;
      const timer = this.timers.shift();
      this.now = Math.max(this.now, timer.at);
      if (timer.every) this.timers.push({ ...timer, at: this.now + timer.every });
      timer.run();
      await flush();
    }
    this.now = until;
  }

  async answer(tab, url, options) {
    const method = options?.method ?? "GET";
    this.asked.push({ tab, method, path: url, body: options?.body?.toString() });
    const reply = url === "/.gateway/session" ? this.session : this.others[`${method} ${url}`];
    if (this.held) await new Promise((resume) => this.held.push(resume));
    if (reply instanceof Error || !reply) throw reply ?? new Error(`nothing at ${method} ${url}`);
    const [status, json, headers = {}] = reply;
    return new Response(status === 204 ? null : JSON.stringify(json), { status, headers });
  }
}

class Tab {
  constructor(world, storage) {
    this.world = world;
    this.uncaught = [];
    const page = new EventTarget();
    const document = Object.assign(new EventTarget(), { hidden: false });
    this.document = document;
    this.page = page;
    let last = 0;
    const at = (run, wait = 0, every = 0) => {
      const id = ++last;
      const safe = () => {
        try {
          run();
        } catch (error) {
          this.uncaught.push(error);
        }
      };
      world.timers.push({ tab: this, id, at: world.now + wait, run: safe, every });
      return id;
    };
    const tab = this;
    this.globals = {
      document,
      location: { href: "https://app.test/x", origin: "https://app.test" },
      history: {
        pushState: (_, __, to) => (this.globals.location.href = `https://app.test${to}`),
        replaceState() {},
      },
      addEventListener: (...words) => page.addEventListener(...words),
      performance: { now: () => world.now },
      setTimeout: at,
      setInterval: (run, every) => at(run, every, every),
      clearTimeout: (id) => {
        world.timers = world.timers.filter((timer) => timer.tab !== tab || timer.id !== id);
      },
      fetch: (url, options) => world.answer(this, url, options),
      BroadcastChannel: class {
        postMessage(data) {
          world.said ??= [];
          world.said.push(data);
          for (const other of world.tabs) {
            if (other !== tab) queueMicrotask(() => other.channel?.onmessage?.({ data }));
          }
        }
        constructor() {
          tab.channel = this;
        }
      },
      AbortController,
      URL,
      URLSearchParams,
      atob,
    };
    if (storage) {
      this.globals.localStorage = {
        getItem: (key) => world.storage.get(key) ?? null,
        setItem: (key, value) => world.storage.set(key, value),
      };
    }
    this.globals.window = this.globals;
    vm.createContext(this.globals);
  }

  run(code) {
    vm.runInContext(code, this.globals);
    this.api = vm.runInContext("typeof gateway === 'undefined' ? undefined : gateway", this.globals);
  }

  focus() {
    this.page.dispatchEvent(new Event("focus"));
  }
}

export async function flush() {
  for (let turn = 0; turn < 50; turn++) await Promise.resolve();
  await new Promise(setImmediate);
}

export const ENDED = (reason) => [401, { reason }];
export const AWAY = [503, { reason: "store_unavailable" }, { "Retry-After": "5" }];
