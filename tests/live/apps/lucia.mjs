// An Express app with sessions in Redis by Lucia: version 3 with an adapter for Redis,
// or the recipe "Sessions with Redis" that took its place (RECIPE=1).
// Nothing in it knows of the gateway: /admin has no check of its own.
import { createHash, randomBytes } from "node:crypto";

import express from "express";
import { Redis } from "ioredis";
import { Lucia } from "lucia";

const redis = new Redis(process.env.REDIS_URL);
const waiting = redis.duplicate();

const users = new Map(JSON.parse(process.env.USERS).map((user) => [user.email, user]));
const userOf = (id) => [...users.values()].find((user) => user.id === id);
const LIFE = 30 * 86_400;
const BASE32 = "abcdefghijklmnopqrstuvwxyz234567";

// The record of both: what the gateway is to know of a person stands beside the user id.
const attributes = ({ email, role }) => ({ email, role });

// https://lucia-auth.com/sessions/basic with Redis: the key is a hash of the cookie.
const recipe = {
  cookie: "session",
  key: (token) => `session:${createHash("sha256").update(token).digest("hex")}`,
  async create(user) {
    const token = [...randomBytes(32)].map((byte) => BASE32[byte % 32]).join("");
    const id = recipe.key(token).slice("session:".length);
    const expires_at = Math.floor(Date.now() / 1000) + LIFE;
    const record = { id, user_id: user.id, expires_at, ...attributes(user) };
    await redis.set(recipe.key(token), JSON.stringify(record), "EXAT", expires_at);
    return token;
  },
  async validate(token) {
    const text = await redis.get(recipe.key(token));
    const record = text && JSON.parse(text);
    if (!record || Date.now() >= record.expires_at * 1000) return null;
    return { user: userOf(record.user_id), token };
  },
  async extend({ token, user }) {
    const id = recipe.key(token).slice("session:".length);
    const expires_at = Math.floor(Date.now() / 1000) + LIFE;
    const record = { id, user_id: user.id, expires_at, ...attributes(user) };
    await redis.set(recipe.key(token), JSON.stringify(record), "EXAT", expires_at);
  },
  end: (token) => redis.del(recipe.key(token)),
};

const set = ({ id, userId, expiresAt, attributes: more }) =>
  redis.set(
    `session:${id}`,
    JSON.stringify({ id, user_id: userId, expires_at: Math.floor(expiresAt / 1000), ...more }),
    "PXAT",
    expiresAt.getTime(),
  );
const adapter = {
  async getSessionAndUser(id) {
    const text = await redis.get(`session:${id}`);
    if (!text) return [null, null];
    const { user_id: userId, expires_at, email, role } = JSON.parse(text);
    const session = { id, userId, expiresAt: new Date(expires_at * 1000), attributes: { email, role } };
    return [session, { id: userId, attributes: {} }];
  },
  setSession: set,
  deleteSession: (id) => redis.del(`session:${id}`),
};
const lucia = new Lucia(adapter, { sessionCookie: { attributes: { secure: false } } });
const version3 = {
  cookie: lucia.sessionCookieName,
  create: async (user) => (await lucia.createSession(user.id, attributes(user))).id,
  async validate(token) {
    const { session } = await lucia.validateSession(token);
    return session && { user: userOf(session.userId), token };
  },
  extend: ({ token, user }) =>
    set({ id: token, userId: user.id, expiresAt: new Date(Date.now() + LIFE * 1000), attributes: attributes(user) }),
  end: (token) => lucia.invalidateSession(token),
};

const sessions = process.env.RECIPE ? recipe : version3;
const app = express();
app.use(express.urlencoded({ extended: false }));
app.use(async (req, res, next) => {
  const found = new RegExp(`(?:^|; )${sessions.cookie}=([^;]+)`).exec(req.headers.cookie ?? "");
  req.signedIn = found && (await sessions.validate(found[1]));
  next();
});

app.get("/login", (req, res) => {
  res.send(`<form method="post"><input name="username"><input name="password"
    type="password"><button>Sign in</button></form>`);
});
app.post("/login", async (req, res) => {
  const user = users.get(req.body.username);
  if (user?.password !== req.body.password) return res.redirect("/login");
  res.cookie(sessions.cookie, await sessions.create(user), { httpOnly: true, sameSite: "lax" });
  res.redirect("/dashboard");
});
app.post("/logout", async (req, res) => {
  if (req.signedIn) await sessions.end(req.signedIn.token);
  res.cookie(sessions.cookie, "", { httpOnly: true, sameSite: "lax", maxAge: 0 });
  res.redirect("/");
});
// Its answer comes late, and the session is extended with it.
app.get("/dashboard/report", async (req, res) => {
  await redis.rpush("report:started", "1");
  await waiting.blpop("report:finish", 60);
  await sessions.extend(req.signedIn);
  res.json({ extended: true });
});
// Tells what arrived, line by line; `me` is whom the app itself takes the visitor for.
app.get(["/", "/dashboard", "/admin"], (req, res) => {
  res.json({ me: req.signedIn?.user.id ?? null, headers: req.rawHeaders });
});

const server = app.listen(0, "127.0.0.1", () => {
  console.log(`listening on ${server.address().port}`);
});
