// A Koa app with koa-generic-session on the Redis store of koa-redis.
// Nothing in it knows of the gateway: /admin has no check of its own.
import Redis from "ioredis";
import Koa from "koa";
import bodyParser from "koa-bodyparser";
import session from "koa-generic-session";
import redisStore from "koa-redis";

const client = new Redis(process.env.REDIS_URL);
const waiting = client.duplicate();

const users = new Map(JSON.parse(process.env.USERS).map((user) => [user.email, user]));

const app = new Koa();
app.keys = [process.env.SESSION_SECRET];
app.use(session({ store: redisStore({ client }), cookie: { maxAge: 3_600_000 } }));
app.use(bodyParser());

// Tells what arrived, line by line; `me` is whom the app itself takes the visitor for.
const shown = async (context) => {
  context.body = { me: context.session.user?.id ?? null, headers: context.req.rawHeaders };
};

const pages = {
  "GET /": shown,
  "GET /dashboard": shown,
  "GET /admin": shown,
  "GET /login": async (context) => {
    context.type = "text/html";
    context.body = `<form method="post"><input name="username"><input name="password"
      type="password"><button>Sign in</button></form>`;
  },
  "POST /login": async (context) => {
    const user = users.get(context.request.body.username);
    if (user?.password !== context.request.body.password) return context.redirect("/login");
    await context.regenerateSession();
    const { id, email, role } = user;
    context.session.user = { id, email, role };
    context.redirect("/dashboard");
  },
  "POST /logout": async (context) => {
    context.session = null;
    context.redirect("/");
  },
  "GET /basket": async (context) => {
    context.session.basket = [...(context.session.basket ?? []), "apples"];
    context.body = context.session.basket;
  },
  // Its answer comes late, and the session is written back with it.
  "GET /dashboard/report": async (context) => {
    context.session.reports = (context.session.reports ?? 0) + 1;
    await client.rpush("report:started", "1");
    await waiting.blpop("report:finish", 60);
    context.body = { reports: context.session.reports };
  },
};
app.use(async (context) => {
  await pages[`${context.method} ${context.path}`]?.(context);
});

const server = app.listen(0, "127.0.0.1", () => {
  console.log(`listening on ${server.address().port}`);
});
