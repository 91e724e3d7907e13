// node server.js PORT NAME: counts the messages of each connection.
const { createServer } = require("http");
const { Server } = require("socket.io");

const [port, name] = process.argv.slice(2);
const http = createServer();
const io = new Server(http, { pingInterval: 2000 });

io.on("connection", (socket) => {
  let count = 0;
  socket.on("message", (text, answer) => answer({ name, count: ++count, text }));
});
http.listen(Number(port), "127.0.0.1");
