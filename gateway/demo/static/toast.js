// Shows why the session ended, wherever it was ended. docs/front-ends.md explains it.
const WORDS = { expired: "Your session expired.", revoked: "You were signed out from another device.", signed_out: "You signed out in another tab." };
gatewaySession.onEnd((reason) => {
  const toast = document.createElement("a");
  toast.setAttribute("role", "alert");
  toast.className = "toast";
  toast.href = location.href; // a protected page redirects to sign in, and back
  toast.textContent = `${WORDS[reason]} Sign in again`;
  document.body.append(toast);
});
gatewaySession.onTenantChange(() => location.reload());
