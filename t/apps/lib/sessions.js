// What the clients in JavaScript share: walks that many sessions at once, and prints a line of JSON: how
// many held, at how many servers, and why the others failed.
module.exports = async (count, walk, timeout = 30000) => {
  const limited = (number) => {
    let timer;
    const late = new Promise((_, fail) => {
      timer = setTimeout(() => fail(new Error("timeout")), timeout);
    });
    return Promise.race([walk(number), late]).finally(() => clearTimeout(timer));
  };
  const all = await Promise.allSettled(Array.from({ length: Number(count) }, (_, number) => limited(number)));
  const good = all.filter((one) => one.status === "fulfilled").map((one) => one.value);
  const errors = all.filter((one) => one.status === "rejected").map((one) => String(one.reason).slice(0, 200));
  console.log(JSON.stringify({
    good: good.length,
    servers: new Set(good).size,
    errors: [...new Set(errors)].slice(0, 3),
  }));
  process.exit(0);
};

// The only element of a set of servers' names.
module.exports.one = (names) => {
  if (names.size !== 1) throw new Error(`served by ${[...names].join(", ") || "nobody"}`);
  return [...names][0];
};
