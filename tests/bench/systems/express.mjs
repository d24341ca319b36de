// The gateway's job as a server of Node.js usually does it.
import { createWriteStream } from 'node:fs'
import http from 'node:http'
import { RedisStore } from 'connect-redis'
import express from 'express'
import session from 'express-session'
import { createProxyMiddleware } from 'http-proxy-middleware'
import { SignJWT, generateKeyPair } from 'jose'
import { createClient } from 'redis'

const [port, upstream, redis, secret, log] = process.argv.slice(2)
const { privateKey } = await generateKeyPair('ES256')
const client = createClient({ url: `redis://127.0.0.1:${redis}` })
await client.connect()
const lines = createWriteStream(log)
const tokens = new Map()

async function token(request) {
  const now = Date.now()
  let found = tokens.get(request.sessionID)
  if (!found || found.until < now) {
    const value = await new SignJWT({ tenant_id: request.session.tenant, role: 'authenticated' })
      .setProtectedHeader({ alg: 'ES256' }).setSubject(request.session.user.id)
      .setIssuedAt().setExpirationTime('60s').sign(privateKey)
    found = { value, until: now + 30_000 }
    tokens.set(request.sessionID, found)
  }
  return found.value
}

const app = express()
app.disable('x-powered-by')
app.use((request, response, next) => {
  const start = performance.now()
  response.on('finish', () => lines.write(JSON.stringify({
    time: new Date().toISOString(), ip: request.socket.remoteAddress, method: request.method,
    url: request.url, status: response.statusCode, ms: performance.now() - start,
    user: request.session?.user?.id,
  }) + '\n'))
  next()
})
app.use(session({
  store: new RedisStore({ client, prefix: 'sess:', disableTouch: true }),
  secret, resave: false, saveUninitialized: false,
}))
app.use(async (request, response, next) => {
  const user = request.session.user
  if (!user) return response.redirect('/login')
  request.headers['x-auth-user-id'] = user.id
  request.headers['x-auth-email'] = user.email
  request.headers['x-auth-tenant-id'] = request.session.tenant
  request.headers.authorization = 'Bearer ' + await token(request)
  next()
})
app.use(createProxyMiddleware({
  target: `http://127.0.0.1:${upstream}`, xfwd: true, ws: true,
  agent: new http.Agent({ keepAlive: true, maxSockets: 1024, maxFreeSockets: 1024 }),
}))
app.listen(Number(port), '127.0.0.1', 4096)
