// node server.js PORT NAME: what a SignalR server says over long polling and WebSocket, as far as its client
// asks: negotiation, handshake, calls of the method "count". Microsoft's own needs .NET.
const crypto = require("crypto");

const [port, name] = process.argv.slice(2);
const END = "\x1e";
const connections = new Map();

// What the hub answers to the messages of a client.
function answers(connection, text) {
  return text.split(END).filter(Boolean).map((part) => {
    const message = JSON.parse(part);
    if (message.protocol) return {};
    if (message.type !== 1) return null;
    const result = { name, count: ++connection.count };
    return { type: 3, invocationId: message.invocationId, result };
  }).filter(Boolean).map((answer) => JSON.stringify(answer) + END).join("");
}

function deliver(connection) {
  if (connection.poll && connection.queue) {
    connection.poll.end(connection.queue);
    connection.poll = null;
    connection.queue = "";
  }
}

const http = require("http").createServer((request, response) => {
  const url = new URL(request.url, "http://hub");
  let body = "";
  request.on("data", (piece) => { body += piece; });
  request.on("end", () => {
    response.setHeader("X-Backend", name);
    if (url.pathname === "/hub/negotiate") {
      const [connectionId, connectionToken] = [16, 16].map((size) => crypto.randomBytes(size).toString("base64url"));
      connections.set(connectionToken, { count: 0, queue: "", poll: null, polled: false });
      response.setHeader("Content-Type", "application/json");
      return response.end(JSON.stringify({
        negotiateVersion: 1, connectionId, connectionToken,
        availableTransports: [{ transport: "LongPolling", transferFormats: ["Text", "Binary"] }],
      }));
    }
    const connection = connections.get(url.searchParams.get("id"));
    if (!connection) {
      response.statusCode = 404;
      return response.end("No Connection with that ID");
    }
    if (request.method === "POST") {
      connection.queue += answers(connection, body);
      response.end();
      return deliver(connection);
    }
    if (request.method === "DELETE") {
      connections.delete(url.searchParams.get("id"));
      response.statusCode = 202;
      return response.end();
    }
    if (!connection.polled) {
      connection.polled = true;
      return response.end();
    }
    connection.poll = response;
    return deliver(connection);
  });
});
http.listen(Number(port), "127.0.0.1");
