// node server.js PORT NAME: counts the messages of each connection.
const sockjs = require("sockjs");

const [port, name] = process.argv.slice(2);
const echo = sockjs.createServer({ log: () => {} });
echo.on("connection", (connection) => {
  let count = 0;
  connection.on("data", (text) => connection.write(JSON.stringify({ name, count: ++count, text })));
});
const http = require("http").createServer();
echo.installHandlers(http, { prefix: "/echo" });
http.listen(Number(port), "127.0.0.1");
