// node client.js URL CLIENTS MESSAGES TRANSPORTS: that many clients at once, each of which sends its messages
// one after the other. Prints a line of JSON: how many were served without a break, by whom, how, and why
// the others failed.
const { io } = require("socket.io-client");

const [url, clients, messages, transports] = process.argv.slice(2);

function walk(number) {
  return new Promise((done) => {
    const socket = io(url, {
      transports: transports.split(","),
      forceNew: true,
      reconnection: false,
      timeout: 5000,
    });
    const end = (result) => {
      clearTimeout(timer);
      socket.close();
      done(result);
    };
    const timer = setTimeout(() => end({ error: "timeout" }), 20000);
    socket.on("connect_error", (error) => end({ error: `connect: ${error.message}` }));
    socket.on("disconnect", (reason) => end({ error: `disconnected: ${reason}` }));
    socket.on("connect", async () => {
      const names = new Set();
      try {
        for (let count = 1; count <= Number(messages); count++) {
          const answer = await socket.timeout(5000).emitWithAck("message", `${number}.${count}`);
          names.add(answer.name);
          if (answer.count !== count || answer.text !== `${number}.${count}` || names.size > 1) {
            return end({ error: `answer ${JSON.stringify(answer)}` });
          }
          // Long-polling shall really poll.
          await new Promise((wait) => setTimeout(wait, 20));
        }
      } catch (error) {
        return end({ error: `message: ${error.message}` });
      }
      socket.removeAllListeners("disconnect");
      end({ name: [...names][0], transport: socket.io.engine.transport.name });
    });
  });
}

Promise.all(Array.from({ length: Number(clients) }, (_, number) => walk(number))).then((results) => {
  const good = results.filter((result) => !result.error);
  const count = (key) =>
    good.reduce((all, result) => ({ ...all, [result[key]]: (all[result[key]] || 0) + 1 }), {});
  const errors = [...new Set(results.filter((result) => result.error).map((result) => result.error))];
  console.log(JSON.stringify({
    good: good.length,
    servers: Object.keys(count("name")).length,
    transports: count("transport"),
    errors: errors.slice(0, 3),
  }));
  process.exit(0);
});
