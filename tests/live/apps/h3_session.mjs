// An app on h3, as Nitro and Nuxt build theirs, with @scayle/h3-session on unstorage.
// Nothing in it knows of the gateway: /admin has no check of its own.
import { createServer } from "node:http";

import { UnstorageSessionStore, useSession } from "@scayle/h3-session";
import { createApp, createRouter, defineEventHandler, readBody, sendRedirect, toNodeListener } from "h3";
import Redis from "ioredis";
import { createStorage } from "unstorage";
import redisDriver from "unstorage/drivers/redis";

const client = new Redis(process.env.REDIS_URL);
const waiting = client.duplicate();

const users = new Map(JSON.parse(process.env.USERS).map((user) => [user.email, user]));

const storage = createStorage({ driver: redisDriver({ url: process.env.REDIS_URL }) });
const store = new UnstorageSessionStore(storage, { ttl: 3600 });

const app = createApp();
app.use(
  defineEventHandler((event) =>
    useSession(event, {
      store,
      secret: process.env.SESSION_SECRET,
      saveUninitialized: false,
      cookie: { secure: false, maxAge: 3600 },
    }),
  ),
);

// Tells what arrived, line by line; `me` is whom the app itself takes the visitor for.
const shown = defineEventHandler((event) => ({
  me: event.context.session.data.user?.id ?? null,
  headers: event.node.req.rawHeaders,
}));

const router = createRouter()
  .get("/", shown)
  .get("/dashboard", shown)
  .get("/admin", shown)
  .get(
    "/login",
    defineEventHandler(
      () => `<form method="post"><input name="username"><input name="password"
      type="password"><button>Sign in</button></form>`,
    ),
  )
  .post(
    "/login",
    defineEventHandler(async (event) => {
      const { username, password } = await readBody(event);
      const user = users.get(username);
      if (user?.password !== password) return sendRedirect(event, "/login");
      const { session } = event.context;
      await session.regenerate();
      const { id, email, role } = user;
      session.data.user = { id, email, role };
      await session.save();
      return sendRedirect(event, "/dashboard");
    }),
  )
  .post(
    "/logout",
    defineEventHandler(async (event) => {
      await event.context.session.destroy();
      return sendRedirect(event, "/");
    }),
  )
  .get(
    "/basket",
    defineEventHandler(async (event) => {
      const { session } = event.context;
      session.data.basket = [...(session.data.basket ?? []), "apples"];
      await session.save();
      return session.data.basket;
    }),
  )
  // Its answer comes late, and the session is written back with it.
  .get(
    "/dashboard/report",
    defineEventHandler(async (event) => {
      const { session } = event.context;
      session.data.reports = (session.data.reports ?? 0) + 1;
      await client.rpush("report:started", "1");
      await waiting.blpop("report:finish", 60);
      await session.save();
      return { reports: session.data.reports };
    }),
  );
app.use(router);

const server = createServer(toNodeListener(app)).listen(0, "127.0.0.1", () => {
  console.log(`listening on ${server.address().port}`);
});
