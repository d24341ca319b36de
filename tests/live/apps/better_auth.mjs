// An Express app that signs people in with Better Auth and keeps its sessions in Redis.
// It tells the gateway who is a member of what (memberships.mjs), and knows nothing else
// of it: /admin has no check of its own.
import { AsyncLocalStorage } from "node:async_hooks";
import { webcrypto } from "node:crypto";

import { redisStorage } from "@better-auth/redis-storage";
import { betterAuth } from "better-auth";
import { memoryAdapter } from "better-auth/adapters/memory";
import { fromNodeHeaders, toNodeHandler } from "better-auth/node";
import { admin, organization } from "better-auth/plugins";
import express from "express";
import { Redis } from "ioredis";

import { membershipsIn } from "./memberships.mjs";

globalThis.crypto ??= webcrypto; // Node 18 has it behind a flag

const redis = new Redis(process.env.REDIS_URL);
const waiting = redis.duplicate();
const memberships = membershipsIn(redis);

// Within `report`, the write of a session to Redis is on its way for long.
const report = new AsyncLocalStorage();
const storage = redisStorage({ client: redis });

const auth = betterAuth({
  baseURL: process.env.BETTER_AUTH_URL,
  secret: process.env.BETTER_AUTH_SECRET,
  database: memoryAdapter({
    user: [],
    session: [],
    account: [],
    verification: [],
    organization: [],
    member: [],
    invitation: [],
  }),
  secondaryStorage: {
    ...storage,
    async set(key, value, ttl) {
      const late = report.getStore();
      if (late?.key === key) {
        late.key = null; // version 1.3 writes it twice
        await redis.rpush("report:started", "1");
        await waiting.blpop("report:finish", 60);
      }
      await storage.set(key, value, ttl);
    },
  },
  emailAndPassword: { enabled: true },
  plugins: [
    admin(),
    organization({ organizationHooks: memberships.organizationHooks }),
    memberships.plugin,
  ],
  rateLimit: { enabled: false },
  telemetry: { enabled: false },
});

for (const { email, password, name, role } of JSON.parse(process.env.USERS)) {
  await auth.api.createUser({ body: { email, password, name, role } });
}

const app = express();
app.all("/api/auth/*splat", toNodeHandler(auth));
app.get("/login", (req, res) => {
  res.send(`<form><input name="email"><input name="password" type="password">
    <button>Sign in</button></form><script>
    document.forms[0].onsubmit = async (event) => {
      event.preventDefault();
      const body = JSON.stringify(Object.fromEntries(new FormData(event.target)));
      const headers = { "Content-Type": "application/json" };
      const answer = await fetch("/api/auth/sign-in/email", { method: "POST", headers, body });
      if (answer.ok) location = "/dashboard";
    };</script>`);
});
// Renames the visitor; Better Auth writes that into each of his sessions.
app.get("/dashboard/report", async (req, res) => {
  const headers = fromNodeHeaders(req.headers);
  const { session } = await auth.api.getSession({ headers });
  await report.run({ key: session.token }, () =>
    auth.api.updateUser({ headers, body: { name: "Renamed" } }),
  );
  res.json({ renamed: true });
});
// Tells what arrived, line by line; `me` is whom the app itself takes the visitor for.
app.get(["/", "/dashboard", "/admin"], async (req, res) => {
  const found = await auth.api.getSession({ headers: fromNodeHeaders(req.headers) });
  res.json({ me: found?.user.id ?? null, headers: req.rawHeaders });
});

const server = app.listen(0, "127.0.0.1", () => {
  console.log(`listening on ${server.address().port}`);
});
