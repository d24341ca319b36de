// Makes the calls of the Ory SDK, as it is published, and prints what came back.
// argv: the base path, the Cookie value of the person who asks, and the id of a
// session that is to be ended by it.
import { Configuration, FrontendApi } from "@ory/client"

const [basePath, cookie, thirdId] = process.argv.slice(2)
const ory = new FrontendApi(new Configuration({ basePath }))

async function told(call) {
  try {
    const { status, data, headers } = await call()
    return { status, data, headers: { ...headers } }
  } catch (error) {
    if (!error.response) throw error
    const { status, data } = error.response
    return { status, data, threw: true }
  }
}

const seen = {}
const note = async (name, call) => (seen[name] = await told(call))

await note("nobody", () => ory.toSession({}))
await note("badToken", () => ory.toSession({ cookie, xSessionToken: "ory_st_x" }))
const me = await note("toSession", () => ory.toSession({ cookie }))
await note("list", () => ory.listMySessions({ cookie }))
await note("page", () => ory.listMySessions({ cookie, pageSize: 1 }))
const next = /page_token=([^>&]+)>; rel="next"/.exec(seen.page.headers.link)
await note("nextPage", () =>
  ory.listMySessions({ cookie, pageSize: 1, pageToken: decodeURIComponent(next[1]) }))
await note("own", () => ory.disableMySession({ cookie, id: me.data.id }))
await note("odd", () => ory.disableMySession({ cookie, id: "a/b c" }))
await note("unknown", () =>
  ory.disableMySession({ cookie, id: "00000000-0000-4000-8000-000000000000" }))
await note("disable", () => ory.disableMySession({ cookie, id: thirdId }))
await note("afterOne", () => ory.listMySessions({ cookie }))
await note("disableOthers", () => ory.disableMyOtherSessions({ cookie }))
await note("afterAll", () => ory.listMySessions({ cookie }))
await note("flowElsewhere", () =>
  ory.createBrowserLogoutFlow({ cookie, returnTo: "https://evil.test/" }))
const flow = await note("flow", () =>
  ory.createBrowserLogoutFlow({ cookie, returnTo: "/bye" }))
await note("noFlow", () => ory.createBrowserLogoutFlow({}))
await note("wrongToken", () => ory.updateLogoutFlow({ cookie, token: "ory_lo_x" }))
await note("logout", () =>
  ory.updateLogoutFlow({ cookie, token: flow.data.logout_token }))
await note("after", () => ory.toSession({ cookie }))

console.log(JSON.stringify(seen))
