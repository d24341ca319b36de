// An Express app with sessions in Redis and a sign-in by Passport.
// Nothing in it knows of the gateway: /admin has no check of its own.
import * as connectRedis from "connect-redis";
import express from "express";
import session from "express-session";
import passport from "passport";
import { Strategy as LocalStrategy } from "passport-local";
import { createClient } from "redis";

// Version 7 exports the store by default.
const RedisStore = connectRedis.RedisStore ?? connectRedis.default;

const client = createClient({ url: process.env.REDIS_URL });
const waiting = client.duplicate();
await Promise.all([client.connect(), waiting.connect()]);

const users = new Map(JSON.parse(process.env.USERS).map((user) => [user.email, user]));

passport.use(
  new LocalStrategy((username, password, done) => {
    const user = users.get(username);
    done(null, user && user.password === password ? user : false);
  }),
);
// What the gateway is to know of a person stands here: the id, and what it tells on.
passport.serializeUser(({ id, email, role }, done) => done(null, { id, email, role }));
passport.deserializeUser(({ id }, done) => {
  done(null, [...users.values()].find((user) => user.id === id) ?? false);
});

const app = express();
app.use(
  session({
    store: new RedisStore({ client }),
    secret: process.env.SESSION_SECRET,
    resave: false,
    saveUninitialized: false,
  }),
);
app.use(passport.session());
app.use(express.urlencoded({ extended: false }));

app.get("/login", (req, res) => {
  res.send(`<form method="post"><input name="username"><input name="password"
    type="password"><button>Sign in</button></form>`);
});
app.post(
  "/login",
  passport.authenticate("local", { failureRedirect: "/login", successRedirect: "/dashboard" }),
);
app.post("/logout", (req, res, next) => {
  req.logout((error) => (error ? next(error) : res.redirect("/")));
});
app.get("/basket", (req, res) => {
  req.session.basket = [...(req.session.basket ?? []), "apples"];
  res.json(req.session.basket);
});
// Its answer comes late, and the session is written back with it.
app.get("/dashboard/report", async (req, res) => {
  req.session.reports = (req.session.reports ?? 0) + 1;
  await client.rPush("report:started", "1");
  await waiting.blPop("report:finish", 60);
  res.json({ reports: req.session.reports });
});
// Tells what arrived, line by line; `me` is whom the app itself takes the visitor for.
app.get(["/", "/dashboard", "/admin"], (req, res) => {
  res.json({ me: req.user?.id ?? null, headers: req.rawHeaders });
});

const server = app.listen(0, "127.0.0.1", () => {
  console.log(`listening on ${server.address().port}`);
});
