// node server.js PORT NAME FOLDER: a server of tus uploads, which keeps them in a folder of its own.
const { Server } = require("@tus/server");
const { FileStore } = require("@tus/file-store");

const [port, name, directory] = process.argv.slice(2);
const server = new Server({
  path: "/files",
  relativeLocation: true,
  datastore: new FileStore({ directory }),
});
const http = require("http").createServer((request, response) => {
  response.setHeader("X-Backend", name);
  server.handle(request, response);
});
http.listen(Number(port), "127.0.0.1");
