// node client.js URL CLIENTS MESSAGES TRANSPORT: that many clients at once, each of which sends its messages
// one after the other.
const SockJS = require("sockjs-client");
const sessions = require("../lib/sessions.js");

const [url, clients, messages, transport] = process.argv.slice(2);

sessions(clients, (number) => new Promise((done, fail) => {
  const socket = new SockJS(`${url}/echo`, null, { transports: transport, timeout: 10000 });
  const names = new Set();
  let sent = 0;
  const next = () => socket.send(`${number}.${++sent}`);
  socket.onopen = next;
  socket.onclose = (event) => fail(new Error(`closed: ${event.code} ${event.reason}`));
  socket.onmessage = ({ data }) => {
    const answer = JSON.parse(data);
    names.add(answer.name);
    if (answer.count !== sent || answer.text !== `${number}.${sent}`) return fail(new Error(data));
    if (sent < Number(messages)) return setTimeout(next, 20);
    socket.onclose = null;
    socket.close();
    try { done(sessions.one(names)); } catch (error) { fail(error); }
  };
}));
