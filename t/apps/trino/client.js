// node client.js URL QUERIES: that many queries at once.
const { Trino } = require("trino-client");
const sessions = require("../lib/sessions.js");

const [server, queries] = process.argv.slice(2);

sessions(queries, async () => {
  const names = new Set();
  const steps = [];
  const trino = Trino.create({ server, catalog: "shop", schema: "test" });
  for await (const result of await trino.query("select * from server")) {
    if (result.error) throw new Error(result.error.message);
    for (const [name, step] of result.data ?? []) {
      names.add(name);
      steps.push(step);
    }
  }
  if (steps.join() !== "1,2,3,4") throw new Error(`steps ${steps.join()}`);
  return sessions.one(names);
});
