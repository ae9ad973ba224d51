// The site under node, which takes a descriptor by its number.
const server = require("http").createServer((_, response) => response.end(String(process.pid)));
server.listen({ fd: 3 });
process.on("SIGTERM", () => server.close(() => process.exit(0)));
