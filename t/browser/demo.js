// The page of `make demo KEEP=1`, in Chromium: node demo.js http://127.0.0.1:PORT
//
// Prints a line for each check, as a test in Perl would: t/tools_demo_browser.t counts them. The log,
// from which the page draws its squares, comes late each time: on a busy machine it does.
'use strict';

const { chromium } = require('playwright-core');

const base = process.argv[2];
const LATE = 1000;
const PATIENCE = 60000;

// The sentence of a line of the log, as the title of its square says it.
function title(line, servers) {
  const [address, method, status] = line.split(' ');
  const server = servers.indexOf(Number(address.split(':').pop())) + 1;
  return `${method}, server ${server}${status === '-' ? '' : `, ${status}`}`;
}

async function main() {
  const browser = await chromium.launch({ executablePath: '/usr/bin/chromium', chromiumSandbox: process.getuid() !== 0 });
  const page = await browser.newPage();
  await page.route('**/log/*', async (route) => {
    const reply = await route.fetch();
    await new Promise((resolve) => setTimeout(resolve, LATE));
    await route.fulfill({ response: reply });
  });
  await page.goto(base);
  await page.getByRole('button', { name: 'Put five things into the cart' }).click();
  const said = page.locator('#with-said').filter({ hasText: 'in the cart' });
  await said.waitFor({ timeout: PATIENCE });
  console.log(`${await said.textContent() === '5 put in, 5 in the cart.' ? 'ok' : 'not ok'} - nothing is lost with the module`);

  const servers = await page.evaluate('SERVERS');
  const log = await (await page.request.get(`${base}/log/with.log`)).text();
  const wanted = log.trim().split('\n').map((line) => title(line, servers));
  const strip = page.locator('#with-strip li');
  await strip.nth(wanted.length - 1).waitFor({ timeout: PATIENCE });
  const seen = await strip.evaluateAll((all) => all.map((it) => it.title));
  const isSame = JSON.stringify(seen) === JSON.stringify(wanted);
  console.log(`${isSame ? 'ok' : 'not ok'} - a square for each request`);
  if (!isSame) console.log(`# seen: ${JSON.stringify(seen)}, in the log: ${JSON.stringify(wanted)}`);
  await browser.close();
}

main().then(() => process.exit(0), (error) => { console.log(`# ${error.stack}`); process.exit(1); });
