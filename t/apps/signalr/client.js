// node client.js URL CLIENTS CALLS: that many clients at once over long polling, each of which calls a method
// again and again.
const { HubConnectionBuilder, HttpTransportType, LogLevel } = require("@microsoft/signalr");
const sessions = require("../lib/sessions.js");

const [url, clients, calls] = process.argv.slice(2);

sessions(clients, async () => {
  const hub = new HubConnectionBuilder()
    .withUrl(`${url}/hub`, { transport: HttpTransportType.LongPolling })
    .configureLogging(LogLevel.None)
    .build();
  await hub.start();
  const names = new Set();
  for (let number = 1; number <= Number(calls); number++) {
    const { name, count } = await hub.invoke("count");
    names.add(name);
    if (count !== number) throw new Error(`call ${number} is the ${count}th of ${name}`);
  }
  return sessions.one(names);
});
