// node client.js URL CLIENTS MESSAGES: that many clients at once over long polling, each of which subscribes
// to a channel of its own and publishes to it, one message after the other. A client whose server does not
// know it begins anew in silence: it must have shaken hands once.
const faye = require("faye");
const sessions = require("../lib/sessions.js");

const [url, clients, messages] = process.argv.slice(2);

sessions(clients, async (number) => {
  const client = new faye.Client(`${url}/faye`, { timeout: 10, retry: 0.2 });
  client.disable("websocket");
  client.disable("eventsource");
  let greetings = 0;
  client.addExtension({
    incoming: (message, pass) => {
      if (message.channel === "/meta/handshake") greetings++;
      pass(message);
    },
  });
  const names = new Set();
  const waiting = new Map();
  await client.subscribe(`/of/${number}`, (message) => {
    names.add(message.name);
    waiting.get(message.count)?.();
  });
  for (let count = 1; count <= Number(messages); count++) {
    const came = new Promise((done, fail) => {
      waiting.set(count, done);
      setTimeout(() => fail(new Error(`message ${count} is lost`)), 5000).unref();
    });
    await client.publish(`/of/${number}`, { count });
    await came;
  }
  if (greetings !== 1) throw new Error(`${greetings} handshakes`);
  return sessions.one(names);
});
