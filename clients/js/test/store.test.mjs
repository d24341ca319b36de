import assert from "node:assert/strict";
import { test } from "node:test";
import { ADA, AWAY, ENDED, SCRIPT, World, body, flush } from "./world.mjs";

async function started(world, options) {
  const tab = world.tab(undefined, options);
  tab.events = [];
  tab.api.onSessionChange((now, before) => tab.events.push([before, now]));
  await flush();
  return tab;
}

const stateOf = (tab) => tab.events.at(-1)?.[1];

test("pending only before the first answer, and one request for all who ask", async () => {
  const world = new World();
  world.hold();
  const tab = world.tab();
  const states = [];
  for (let i = 0; i < 3; i++) tab.api.onSessionChange((now, before) => states.push([before.isPending, now]));
  const asked = [tab.api.getSession(), tab.api.getSession()];
  await world.release();

  assert.equal(world.looks, 1);
  assert.deepEqual(states.map(([before]) => before), [true, true, true]);
  assert.equal((await asked[0]).user.email, "u_ada@example.com");
  assert.equal(await asked[0], await asked[1]);
});

test("the flat view", async () => {
  const world = new World();
  world.session = [200, body({ roles: ["staff"] })];
  const { user, tenant, tenants, expires_at } = await world.tab().api.getSession();

  assert.equal(user.name, "A B");
  assert.deepEqual([user.isAdmin, user.emailVerified, user.image], [false, false, null]);
  assert.equal(JSON.stringify(tenant), JSON.stringify({ id: "t1", name: "Acme", role: "owner" }));
  assert.equal(JSON.stringify(tenants[1]), JSON.stringify({ id: "t2", name: null, role: null }));
  assert.equal(expires_at, "2027-01-01T00:00:00Z");
});

test("an equal answer is no event and the same object", async () => {
  const world = new World();
  const tab = await started(world);
  const first = await tab.api.getSession();
  world.session = [200, { ...ADA, expires_in: 3000 }];
  await tab.api.refetch();

  assert.equal(tab.events.length, 1);
  assert.equal(await tab.api.getSession(), first);
});

test("another user's sign-in in the same browser is a change", async () => {
  const world = new World();
  const tab = await started(world);
  world.session = [200, body({ person: "u_zoe", id: "s2" })];
  tab.focus();
  await world.pass(5_000);

  assert.equal(stateOf(tab).data.user.id, "u_zoe");
});

for (const [what, changes] of [
  ["tenant", { tenant: "t2" }],
  ["roles", { roles: [] }],
]) {
  test(`another ${what} is a change`, async () => {
    const world = new World();
    const tab = await started(world);
    world.session = [200, body(changes)];
    await tab.api.refetch();

    assert.equal(tab.events.length, 2);
  });
}

for (const [reason, word] of [
  ["session_expired", "expired"],
  ["session_idle", "expired"],
  ["unknown_session", "expired"],
  ["session_revoked", "revoked"],
  ["no_session", "signed_out"],
  ["malformed", "signed_out"],
]) {
  test(`${reason} after a session is ${word}`, async () => {
    const world = new World();
    const tab = await started(world);
    world.session = ENDED(reason);
    await tab.api.refetch();

    assert.equal(stateOf(tab).reason, word);
    assert.equal(stateOf(tab).data, null);
  });
}

test("the reason of an end stays, whatever later answers know", async () => {
  const world = new World();
  const tab = await started(world);
  world.session = ENDED("session_revoked");
  await tab.api.refetch();
  world.session = ENDED("no_session");
  await tab.api.refetch();

  assert.equal(tab.events.length, 2);
  assert.equal(stateOf(tab).reason, "revoked");
});

test("a visitor is none, and who comes too late learns why", async () => {
  for (const [reason, word] of [["no_session", "none"], ["session_revoked", "revoked"]]) {
    const world = new World();
    world.session = ENDED(reason);
    assert.equal(stateOf(await started(world)).reason, word);
  }
});

test("an outage keeps what is known, and is no end", async () => {
  const world = new World();
  const tab = await started(world);
  for (const failure of [AWAY, new Error("offline"), [401, {}], [200, {}], [302, {}]]) {
    world.session = failure;
    const state = await tab.api.refetch();
    assert.equal(state.data.user.id, "u_ada");
    assert.equal(state.error.name, "SessionUnavailable");
  }
  world.session = AWAY;
  const { error } = await tab.api.refetch();
  assert.deepEqual([error.status, error.retryAfter], [503, 5]);
  world.session = [200, ADA];
  assert.equal((await tab.api.refetch()).error, null);
});

test("an outage at the first question is an error, and getSession asks again", async () => {
  const world = new World();
  world.session = AWAY;
  const { api } = world.tab();
  await assert.rejects(api.getSession(), { name: "SessionUnavailable", status: 503 });
  world.session = [200, ADA];
  assert.equal((await api.getSession()).id, "s1");
});

test("the end is looked for when it comes, by seconds and not by clocks", async () => {
  const world = new World();
  world.session = [200, body({ left: 20 })];
  const tab = await started(world);
  world.session = ENDED("session_expired");
  await world.pass(20_400);
  assert.equal(world.looks, 1);
  await world.pass(200);

  assert.equal(stateOf(tab).reason, "expired");
});

test("an equal answer arms the timer again", async () => {
  const world = new World();
  world.session = [200, body({ left: 20 })];
  const tab = await started(world);
  await world.pass(15_000);
  await tab.api.refetch();
  const before = world.looks;
  await world.pass(10_000); // beyond the first end
  assert.equal(world.looks, before);
  await world.pass(10_600);
  assert.equal(world.looks, before + 1);
});

test("a session of a year asks no sooner than the poll", async () => {
  const world = new World();
  world.session = [200, body({ left: 366 * 86_400 })];
  await started(world);
  await world.pass(29_000);
  assert.equal(world.looks, 1);
});

test("signed out because the time was up, whoever took the cookie", async () => {
  const world = new World();
  world.session = [200, body({ left: 10 })];
  const tab = await started(world);
  world.session = ENDED("no_session");
  await world.pass(10_600);

  assert.equal(stateOf(tab).reason, "expired");
});

test("five focus events are one request in five seconds", async () => {
  const world = new World();
  const tab = await started(world);
  for (let i = 0; i < 5; i++) tab.focus();
  tab.document.dispatchEvent(new Event("visibilitychange"));
  tab.page.dispatchEvent(new Event("online"));
  tab.globals.history.pushState({}, "", "/y");
  await world.pass(4_900);
  assert.equal(world.looks, 1);
  await world.pass(200);
  assert.equal(world.looks, 2);
});

test("a navigation without a load asks, a replaced entry of the same address does not", async () => {
  const world = new World();
  const tab = await started(world);
  tab.globals.history.replaceState({}, "");
  await world.pass(6_000);
  assert.equal(world.looks, 1);
  tab.globals.history.pushState({}, "", "/y");
  await world.pass(10);
  assert.equal(world.looks, 2);
});

test("a visible tab polls, a hidden or signed-out one does not", async () => {
  const world = new World();
  const tab = await started(world);
  await world.pass(90_000);
  assert.equal(world.looks, 4);
  tab.document.hidden = true;
  await world.pass(90_000);
  assert.equal(world.looks, 4);
  tab.document.hidden = false;
  world.session = ENDED("session_revoked");
  await world.pass(30_000);
  assert.equal(world.looks, 5);
  await world.pass(300_000);
  assert.equal(world.looks, 5);
});

test("a question that hangs is given up, and the next one is asked", async () => {
  const world = new World();
  const tab = world.tab();
  const given = [];
  tab.globals.fetch = (_, { signal }) =>
    new Promise((_, refuse) => signal.addEventListener("abort", () => refuse(given.push(1))));
  const asked = tab.api.getSession();
  asked.catch(() => {});
  await world.pass(20_100);

  await assert.rejects(asked, { name: "SessionUnavailable" });
  assert.equal(given.length, 1);
});

test("tabs inform each other of a change, never because they were informed", async () => {
  const world = new World();
  const [one, two] = [await started(world), await started(world)];
  await world.pass(10);
  world.said = [];
  world.session = ENDED("session_revoked");
  one.focus();
  await world.pass(5_100);

  assert.equal(stateOf(two).reason, "revoked");
  assert.deepEqual(world.said, ["look"]);
});

test("a sign-in on another page of the browser is noticed", async () => {
  const world = new World();
  world.session = ENDED("no_session");
  const waiting = await started(world);
  world.session = [200, ADA];
  await started(world); // the page after the sign-in
  await world.pass(10);

  assert.equal(stateOf(waiting).data.user.id, "u_ada");
});

test("messages have no data of the session", async () => {
  const world = new World();
  const tab = await started(world);
  await started(world);
  world.session = [200, body({ person: "u_zoe" })];
  await tab.api.refetch();
  await world.pass(10);

  assert.ok(world.said.every((message) => ["look", "logout", "tenant"].includes(message)));
});

test("without storage the package works for itself", async () => {
  const world = new World();
  const tab = await started(world, { storage: false });
  assert.equal(stateOf(tab).data.id, "s1");
});

test("callbacks can be taken back, one by one, and one that throws stops no other", async () => {
  const world = new World();
  const tab = world.tab();
  const called = [];
  const callback = () => called.push("same");
  const end = tab.api.onSessionChange(callback);
  tab.api.onSessionChange(callback);
  tab.api.onSessionChange(() => {
    throw new Error("of the app");
  });
  tab.api.onSessionChange(() => called.push("last"));
  end();
  end();
  await flush();
  await world.pass(10);

  assert.deepEqual(called, ["same", "last"]);
  assert.equal(tab.uncaught.length, 1);
});

test("what the server rendered needs no request", async () => {
  const world = new World();
  const tab = world.tab();
  tab.api.pageStore().start(ADA);
  tab.api.pageStore().start(null); // known already
  assert.equal((await tab.api.getSession()).id, "s1");
  assert.equal(world.looks, 0);
});

test("a second copy of the package shares the store", async () => {
  const world = new World();
  const tab = await started(world);
  tab.run(SCRIPT);
  await flush();
  assert.equal(world.looks, 1);
  const ends = [];
  tab.globals.gatewaySession.onEnd((reason) => ends.push(reason));
  world.session = ENDED("session_revoked");
  await tab.api.refetch();
  assert.deepEqual(ends, ["revoked"]);
});

test("logout: this session, or everywhere; the other tabs learn it", async () => {
  const world = new World();
  world.others = { "POST /.gateway/logout": [204], "DELETE /.gateway/sessions": [200, { count: 2 }] };
  const [one, two] = [await started(world), await started(world)];
  await world.pass(10);
  world.session = ENDED("session_revoked"); // the cookie may still be sent
  await one.api.logout({ everywhere: true });
  await world.pass(4_000);

  const sent = world.asked.filter(({ method }) => method !== "GET").map(({ method, path }) => `${method} ${path}`);
  assert.deepEqual(sent, ["DELETE /.gateway/sessions", "POST /.gateway/logout"]);
  assert.equal(stateOf(one).reason, "signed_out");
  assert.equal(stateOf(two).reason, "signed_out");
});

test("a sign-out that is not certain leaves the session", async () => {
  const world = new World();
  world.others = { "POST /.gateway/logout": AWAY };
  const tab = await started(world);
  await assert.rejects(tab.api.logout(), { name: "SessionUnavailable", status: 503 });
  assert.equal(stateOf(tab).data.id, "s1");
});

test("switchTenant returns the session in the other tenant; personal is an empty id", async () => {
  const world = new World();
  world.others = { "POST /.gateway/tenant": [204] };
  const tab = await started(world);
  world.session = [200, body({ tenant: null })];
  const session = await tab.api.switchTenant(null);
  assert.equal(session.tenant, null);
  assert.equal(world.asked.find(({ method }) => method === "POST").body, "tenant_id=");
  world.others = { "POST /.gateway/tenant": [403, { reason: "not_a_member" }] };
  await assert.rejects(tab.api.switchTenant("t9"), { name: "GatewayError", status: 403, reason: "not_a_member" });
});

test("getToken keeps a token for half of its life, for one session and tenant", async () => {
  const world = new World();
  const claims = Buffer.from(JSON.stringify({ iat: 1000, exp: 1060 })).toString("base64url");
  world.others = { "GET /.gateway/token?profile=a%26b": [200, { token: `h.${claims}.s` }] };
  const tab = await started(world);
  const count = () => world.asked.filter(({ path }) => path.includes("/token")).length;
  const [one, two] = await Promise.all([tab.api.getToken("a&b"), tab.api.getToken("a&b")]);
  assert.equal(one, two);
  await world.pass(29_000);
  await tab.api.getToken("a&b");
  assert.equal(count(), 1);
  await world.pass(2_000);
  await tab.api.getToken("a&b");
  assert.equal(count(), 2);
  world.session = [200, body({ tenant: "t2" })];
  await tab.api.refetch();
  await tab.api.getToken("a&b");
  assert.equal(count(), 3);
});

test("a page that only calls getToken gets no token of another tab's last tenant or user", async () => {
  const world = new World();
  const claims = Buffer.from(JSON.stringify({ iat: 1000, exp: 1060 })).toString("base64url");
  world.others = { "POST /.gateway/tenant": [204] };
  const issued = (name) => (world.others["GET /.gateway/token?profile=p"] = [200, { token: `${name}.${claims}.s` }]);
  issued("ada-t1");
  const tab = world.tab();
  const [one, two] = await Promise.all([tab.api.getToken("p"), tab.api.getToken("p")]);
  assert.deepEqual([one, two], [`ada-t1.${claims}.s`, one]);
  assert.equal(world.asked.filter(({ path }) => path.includes("/token")).length, 1);

  const other = await started(world);
  world.session = [200, body({ tenant: "t2" })];
  issued("ada-t2");
  await other.api.switchTenant("t2");
  await flush();
  await world.pass(300);
  assert.match(await tab.api.getToken("p"), /^ada-t2/);

  world.session = [200, body({ person: "u_zoe", id: "s2" })];
  issued("zoe-t1");
  await other.api.refetch();
  await world.pass(300);
  assert.match(await tab.api.getToken("p"), /^zoe-t1/);
});

test("getToken in an outage is an outage", async () => {
  const world = new World();
  world.session = AWAY;
  world.others = { "GET /.gateway/token?profile=p": AWAY };
  await assert.rejects(world.tab().api.getToken("p"), { name: "SessionUnavailable", status: 503 });
});

test("a refused token is not kept", async () => {
  const world = new World();
  world.others = { "GET /.gateway/token?profile=x": [403, { reason: "not_allowed" }] };
  const { api } = await started(world);
  await assert.rejects(api.getToken("x"), { name: "GatewayError" });
  world.others = { "GET /.gateway/token?profile=x": [200, { token: "t" }] };
  assert.equal(await api.getToken("x"), "t");
});

// session.js

async function script(world) {
  const tab = world.tab(SCRIPT);
  const received = { ends: [], tenants: [], changes: [] };
  const api = tab.globals.gatewaySession;
  const takeBack = [
    api.onEnd((reason) => received.ends.push(reason)),
    api.onTenantChange((id) => received.tenants.push(id)),
    api.onChange((now, before) => received.changes.push([before.session?.identity.id, now.session?.identity.id, now.reason])),
  ];
  await flush();
  return { tab, api, received, takeBack };
}

test("session.js: the first answer is no change, an end is one", async () => {
  const world = new World();
  const { api, received } = await script(world);
  assert.deepEqual(received, { ends: [], tenants: [], changes: [] });
  world.session = ENDED("session_idle");
  await api.check();
  await api.check();
  assert.deepEqual(received.ends, ["expired"]);
  assert.deepEqual(received.changes, [["u_ada", undefined, "expired"]]);
  const late = [];
  api.onEnd((reason) => late.push(reason));
  assert.deepEqual(late, ["expired"]);
});

test("session.js: another tenant, and another user, reload a page that asks for it", async () => {
  const world = new World();
  const { api, received } = await script(world);
  world.session = [200, body({ tenant: "t2" })];
  await api.check();
  world.session = [200, body({ tenant: "t2", person: "u_zoe", id: "s2" })];
  await api.check();
  assert.deepEqual(received.tenants, ["t2", "t2"]);
  assert.deepEqual(received.changes.at(-1), ["u_ada", "u_zoe", null]);
  assert.deepEqual(received.ends, []);
});

test("session.js: a page that never had a session hears of no end", async () => {
  const world = new World();
  world.session = ENDED("session_revoked");
  const { api, received } = await script(world);
  api.onEnd((reason) => received.ends.push(reason));
  await api.check();
  assert.deepEqual(received, { ends: [], tenants: [], changes: [] });
});

test("session.js: callbacks can be taken back", async () => {
  const world = new World();
  const { api, received, takeBack } = await script(world);
  takeBack.forEach((end) => end());
  world.session = ENDED("session_revoked");
  await api.check();
  assert.deepEqual(received, { ends: [], tenants: [], changes: [] });
});

test("on a server the store does nothing, and keeps nothing alive", async () => {
  const { getSession } = await import("../dist/index.js");
  const asked = [];
  globalThis.fetch = async (url) => (asked.push(url), new Response("{}", { status: 503 }));
  const { pageStore } = await import("../dist/store.js");
  pageStore().start(ADA);
  assert.deepEqual([pageStore().state.pending, asked.length], [true, 0]);
  assert.deepEqual(process.getActiveResourcesInfo().filter((name) => /Message|Timeout/.test(name)), []);
  await assert.rejects(getSession(), { name: "SessionUnavailable" });
});
