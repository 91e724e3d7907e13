// node server.js PORT NAME: what a Trino coordinator says of a query to its client: the statement is accepted,
// waits, runs and gives its rows, and each answer names the next URL. Trino's own is not in a registry.
const crypto = require("crypto");

const [port, name] = process.argv.slice(2);
const STEPS = ["queued", "executing", "executing", "executing"];
const queries = new Map();
let last = 0;

const http = require("http").createServer((request, response) => {
  request.resume().on("end", () => {
    const base = `http://${request.headers.host}/v1/statement`;
    response.setHeader("Content-Type", "application/json");
    let [, , , kind, id, slug, step] = request.url.split("/");
    if (request.method === "POST") {
      id = `20261127_${String(++last).padStart(6, "0")}_${crypto.randomBytes(4).toString("hex")}_${name}`;
      slug = crypto.randomBytes(8).toString("hex");
      step = "0";
      queries.set(id, slug);
    } else if (queries.get(id) !== slug) {
      response.statusCode = 404;
      return response.end(JSON.stringify({ message: `${kind}: no query ${id}` }));
    }
    if (request.method === "DELETE") {
      response.statusCode = 204;
      return response.end();
    }
    const number = Number(step);
    const answer = { id, infoUri: `http://${request.headers.host}/ui/query.html?${id}`, stats: { state: "RUNNING" } };
    if (number < STEPS.length) answer.nextUri = `${base}/${STEPS[number]}/${id}/${slug}/${number + 1}`;
    else answer.stats.state = "FINISHED";
    if (number > 0) {
      answer.columns = [{ name: "server", type: "varchar" }, { name: "step", type: "bigint" }];
      answer.data = [[name, number]];
    }
    return response.end(JSON.stringify(answer));
  });
});
http.listen(Number(port), "127.0.0.1");
