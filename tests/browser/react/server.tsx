import { Writable } from "node:stream";
import { createElement } from "react";
import { renderToPipeableStream } from "react-dom/server";
import { SessionProvider } from "@gateway/client/react";
import { App } from "./app";

const session = JSON.parse(process.argv[2]!);
const chunks: string[] = [];
const out = new Writable({ write(chunk, _, done) { chunks.push(String(chunk)); done(); } });
out.on("finish", () => process.stdout.write(chunks.join("")));
const { pipe } = renderToPipeableStream(createElement(SessionProvider, { session }, <App />), {
  onAllReady: () => pipe(out),
});
