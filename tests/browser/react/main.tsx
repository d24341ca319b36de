import { StrictMode, createElement } from "react";
import { createRoot, hydrateRoot } from "react-dom/client";
import { SessionProvider } from "@gateway/client/react";
import { App, said } from "./app";

declare global {
  interface Window { said: string[]; mismatches: string[]; rendered?: { session: any } }
}
window.said = said;
window.mismatches = [];
const root = document.getElementById("root")!;
if (window.rendered) {
  hydrateRoot(root, createElement(SessionProvider, { session: window.rendered.session }, <App />), {
    onRecoverableError: (error) => window.mismatches.push(String(error)),
  });
} else {
  createRoot(root).render(<StrictMode><App /></StrictMode>);
}
