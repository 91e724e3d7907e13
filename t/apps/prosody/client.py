"""client.py URL CLIENTS PINGS STROPHE: that many clients over BOSH, one after the other in a browser, each of
which logs in and pings its server again and again. STROPHE is the file of Strophe.js."""

import json
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "lib"))
from browser import browser  # noqa: E402

url, clients, pings, strophe = sys.argv[1:]

WALK = """
const [url, pings, done] = arguments;
const { Strophe, $iq } = window.strophe ?? window;
const connection = new Strophe.Connection(url);
const end = (result) => { connection.reset(); done(result); };
const ping = (count) => {
  if (count > pings) return end("good");
  const iq = $iq({ type: "get", to: "shop.test" }).c("ping", { xmlns: "urn:xmpp:ping" });
  return connection.sendIQ(iq, () => ping(count + 1), () => end(`ping ${count} is lost`), 4000);
};
connection.connect("shop.test", null, (status, why) => {
  if (status === Strophe.Status.CONNECTED) ping(1);
  for (const lost of ["CONNFAIL", "AUTHFAIL", "DISCONNECTED", "CONNTIMEOUT", "ERROR"]) {
    if (status === Strophe.Status[lost]) end(`${lost} ${why}`);
  }
}, 5);
"""

results = []
with browser() as driver:
    driver.set_script_timeout(30)
    for _ in range(int(clients)):
        driver.get(f"{url}/http-bind/")
        with open(strophe) as source:
            driver.execute_script(source.read())
        results.append(driver.execute_async_script(WALK, f"{url}/http-bind/", int(pings)))
errors = sorted(set(results) - {"good"})
print(json.dumps({"good": results.count("good"), "errors": errors[:3]}))
