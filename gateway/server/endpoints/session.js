/* Tells a page when its session ends or changes tenant; see docs/front-ends.md. */
(() => {
  "use strict";
  const ENDS = {
    session_expired: "expired", session_idle: "expired", unknown_session: "expired",
    session_revoked: "revoked", session_unreadable: "revoked",
    no_session: "signed_out", malformed: "signed_out", bad_signature: "signed_out",
  };
  const onEnd = [], onTenant = [];
  let session = null, ended = null, asking = null, first = true, left = -Infinity;
  const channel = "BroadcastChannel" in window ? new BroadcastChannel("gateway-session") : null;
  const tell = (message) => channel && channel.postMessage(message);
  const call = (callbacks, value) => callbacks.forEach((callback) => {
    try { callback(value); } catch (error) { setTimeout(() => { throw error; }); }
  });

  function end(reason) {
    if (ended) return;
    // Ended by a form of another tab, and asked before the browser forgot the cookie.
    if (reason === "revoked" && performance.now() - left < 15000) reason = "signed_out";
    if (reason === "signed_out" && Date.now() >= Date.parse(session.expires_at)) reason = "expired";
    ended = reason;
    tell({ ended, id: session.session_id });
    call(onEnd, ended);
  }

  function live(now) {
    const before = session;
    session = now;
    ended = null;
    if (before && before.tenant_id !== now.tenant_id) {
      tell({ look: true });
      call(onTenant, now.tenant_id);
    }
  }

  async function ask() {
    let answer, body;
    try {
      answer = await fetch("/.gateway/session", {
        cache: "no-store", credentials: "same-origin", headers: { Accept: "application/json" },
      });
      body = await answer.json();
    } catch { return; }
    // Anything else, a 503 above all, says nothing about the session.
    if (answer.status === 200) live(body);
    else if (answer.status === 401 && session) end(ENDS[body.reason] || "signed_out");
    // The page after a sign-out, for one: the other tabs may not know yet.
    else if (answer.status === 401 && first) tell({ look: true });
    first = false;
  }

  function check() {
    // A question under way may have been answered before what we ask about.
    asking = asking ? asking.then(ask) : ask();
    const mine = asking = asking.finally(() => { if (asking === mine) asking = null; });
    return mine;
  }
  const soon = () => [0, 250, 1000, 3000].forEach((wait) => setTimeout(check, wait));

  if (channel) channel.onmessage = ({ data }) => {
    if (data.ended && session && session.session_id === data.id) end(data.ended);
    else if (data.soon) {
      if (data.soon === "logout") left = performance.now();
      soon();
    }
    else if (data.look) check();
  };
  document.addEventListener("submit", (event) => {
    const from = event.submitter && event.submitter.getAttribute("formaction");
    const to = new URL(from || event.target.getAttribute("action") || "", location.href);
    const found = to.origin === location.origin && /^\/\.gateway\/(logout|tenant)$/.exec(to.pathname);
    if (found) tell({ soon: found[1] });
  });
  document.addEventListener("visibilitychange", () => { if (!document.hidden) check(); });
  addEventListener("focus", check);
  addEventListener("pageshow", (event) => { if (event.persisted) check(); });
  setInterval(() => { if (!document.hidden) check(); }, 30000);

  window.gatewaySession = Object.freeze({
    onEnd(callback) { onEnd.push(callback); if (ended) callback(ended); },
    onTenantChange(callback) { onTenant.push(callback); },
    check() { tell({ look: true }); return check(); },
  });
  check();
})();
