/* /.gateway/session.js: `window.gatewaySession`. Built from the store of the package. */
import { type Body, type State, pageStore } from "./store.js";

const store = pageStore();

/** Shown to callbacks: the session, or null and why. */
const view = ({ body, reason }: State) => ({ session: body, reason });

Object.defineProperty(window, "gatewaySession", {
  value: Object.freeze({
    onEnd(callback: (reason: string) => void) {
      const { body, reason } = store.state;
      if (!body && reason && reason !== "none" && had) callback(reason);
      return store.listen((now, before) => {
        if (before.body && !now.body && now.reason) callback(now.reason);
      });
    },
    onTenantChange(callback: (id: string | null) => void) {
      return store.listen((now, before) => {
        // Another user's page is at least another tenant's.
        if (now.body && before.body && ownerOf(now.body) !== ownerOf(before.body)) {
          callback(now.body.tenant_id);
        }
      });
    },
    onChange(callback: (now: ReturnType<typeof view>, before: ReturnType<typeof view>) => void) {
      return store.listen((now, before) => {
        if (!before.pending && now.body !== before.body) callback(view(now), view(before));
      });
    },
    check: () => store.fresh().then(() => {}),
  }),
});

let had = false;
store.listen(({ body }) => {
  had ||= !!body;
});
store.start();

function ownerOf({ identity, tenant_id }: Body): string {
  return `${identity.id} ${tenant_id}`;
}
