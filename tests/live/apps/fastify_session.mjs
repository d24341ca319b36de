// A Fastify app with @fastify/session on the Redis store of connect-redis.
// Nothing in it knows of the gateway: /admin has no check of its own.
import cookie from "@fastify/cookie";
import formbody from "@fastify/formbody";
import session from "@fastify/session";
import { RedisStore } from "connect-redis";
import fastify from "fastify";
import { createClient } from "redis";

const client = createClient({ url: process.env.REDIS_URL });
const waiting = client.duplicate();
await Promise.all([client.connect(), waiting.connect()]);

const users = new Map(JSON.parse(process.env.USERS).map((user) => [user.email, user]));

const app = fastify();
app.register(formbody);
app.register(cookie);
app.register(session, {
  secret: process.env.SESSION_SECRET,
  store: new RedisStore({ client }),
  cookie: { secure: false, maxAge: 3_600_000 },
  saveUninitialized: false,
});

app.get("/login", (request, reply) => {
  reply.type("text/html").send(`<form method="post"><input name="username"><input name="password"
    type="password"><button>Sign in</button></form>`);
});
app.post("/login", async (request, reply) => {
  const user = users.get(request.body.username);
  if (user?.password !== request.body.password) return reply.redirect("/login");
  await request.session.regenerate();
  const { id, email, role } = user;
  request.session.user = { id, email, role };
  return reply.redirect("/dashboard");
});
app.post("/logout", async (request, reply) => {
  await request.session.destroy();
  return reply.redirect("/");
});
app.get("/basket", (request, reply) => {
  request.session.basket = [...(request.session.basket ?? []), "apples"];
  reply.send(request.session.basket);
});
// Its answer comes late, and the session is written back with it.
app.get("/dashboard/report", async (request) => {
  request.session.reports = (request.session.reports ?? 0) + 1;
  await client.rPush("report:started", "1");
  await waiting.blPop("report:finish", 60);
  return { reports: request.session.reports };
});
// Tells what arrived, line by line; `me` is whom the app itself takes the visitor for.
for (const path of ["/", "/dashboard", "/admin"]) {
  app.get(path, async (request) => ({
    me: request.session.user?.id ?? null,
    headers: request.raw.rawHeaders,
  }));
}

await app.listen({ port: 0, host: "127.0.0.1" });
console.log(`listening on ${app.server.address().port}`);
