// Answers with the zone and the path that an app on Node's URL acts on.
const http = require("node:http");

const server = http.createServer((request, response) => {
  let path;
  try {
    path = decodeURIComponent(new URL(request.url, "http://app").pathname);
  } catch {
    response.writeHead(400).end();
    return;
  }
  const zone = path === "/admin" || path.startsWith("/admin/") ? "admin" : "open";
  response.writeHead(200, { "Content-Type": "text/plain" }).end(`${zone} ${path}`);
});
server.listen(0, "127.0.0.1", () => console.log(server.address().port));
