// What an operator does on the status page, in Chromium: node status.js http://127.0.0.1:PORT
//
// Prints a line for each check, as a test in Perl would: t/sticky_status_browser.t counts them.
// Nothing waits for a time, but for what has to come.
'use strict';

const http = require('http');

const { chromium } = require('playwright-core');
const axe = require('axe-core');

const base = process.argv[2];
// Milliseconds that nothing takes, however loaded the machine is.
const PATIENCE = 60000;
const SESSIONS = 6;

const complaints = [];

function ok(is_so, name, seen) {
  console.log(`${is_so ? 'ok' : 'not ok'} - ${name}`);
  if (!is_so && seen !== undefined) console.log(`# seen: ${JSON.stringify(seen)}`);
}
const is = (seen, wanted, name) => ok(seen === wanted, name, seen);

async function until(is_so) {
  const end = Date.now() + PATIENCE;
  while (Date.now() < end) {
    if (await is_so()) return true;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  return false;
}

// A request of a session: the server that has answered, and $sticky_status.
function visit(id, page) {
  return new Promise((resolve, reject) => {
    const headers = page ? { 'X-Page': page } : {};
    const request = http.get(`${base}/${id ? `?sid=${id}` : ''}`, { headers, agent: false }, (reply) => {
      reply.resume().once('end', () => {
        resolve({ server: reply.headers['x-server'], status: reply.headers['x-status'] });
      });
    });
    request.once('error', reject);
  });
}

// The sessions in use of each server, so many at least.
async function begin(servers) {
  const sessions = Object.fromEntries(servers.map((it) => [it, []]));
  for (let n = 0; servers.some((it) => sessions[it].length < SESSIONS); n += 1) {
    if (n > 1000) throw new Error('the balancer forgets a server');
    const id = `session-${n}`;
    sessions[(await visit(null, `<a href="/?sid=${id}">next</a>`)).server].push(id);
    await visit(id);
  }
  return sessions;
}

async function open(browser, options) {
  const page = await (await browser.newContext(options)).newPage();
  page.setDefaultTimeout(PATIENCE);
  page.on('console', (it) => { if (it.type() === 'error') complaints.push(it.text()); });
  page.on('pageerror', (it) => complaints.push(it.message));
  page.on('requestfailed', (it) => {
    // A refresh that a form overtakes.
    if (it.failure().errorText !== 'net::ERR_ABORTED') complaints.push(`${it.url()} ${it.failure().errorText}`);
  });
  await page.goto(`${base}/sticky`);
  return page;
}

const shop = (page) => page.locator('section[data-k=shop]');
const row = (page, server) => shop(page).locator(`tr[data-k="${server}"]`);
const notice = (page) => page.locator('.notice p').textContent();

// Presses Tab until the focus is on the element.
async function tab_to(page, element, key = 'Tab') {
  for (let tries = 0; tries < 200; tries += 1) {
    await page.keyboard.press(key);
    if (await element.evaluate((it) => it === document.activeElement)) return true;
  }
  return false;
}

// Presses Enter where that loads another page.
async function enter(page) {
  await Promise.all([page.waitForNavigation(), page.keyboard.press('Enter')]);
}

async function looks(browser) {
  for (const colorScheme of ['light', 'dark']) {
    for (const width of [360, 1600]) {
      const page = await open(browser, { colorScheme, viewport: { width, height: 900 } });
      const name = `${colorScheme}, ${width} px`;
      await page.evaluate(() => document.querySelectorAll('details').forEach((it) => { it.open = true; }));
      const wide = await page.evaluate(() => document.documentElement.scrollWidth);
      ok(wide <= width, `${name}: nothing is wider than the screen`, wide);
      const cut = await page.evaluate(() => Array.from(document.querySelectorAll('.scroll'))
        .filter((it) => it.scrollWidth > it.clientWidth).map((it) => it.textContent));
      is(cut.join('\n'), '', `${name}: nor than its table`);
      await page.evaluate(axe.source);
      const found = await page.evaluate(() => window.axe.run(document, { resultTypes: ['violations'] }));
      const violations = found.violations.map((it) => `${it.id}: ${it.nodes[0].html}`);
      is(violations.join('\n'), '', `${name}: contrast, names and the like`);
      await page.context().close();
    }
  }
}

async function keyboard(browser, [first, second], sessions) {
  const page = await open(browser, { viewport: { width: 1600, height: 900 } });
  is(await page.title(), 'Sticky sessions', 'the page loads');
  ok(await until(async () => (await row(page, first).textContent()).includes('takes new sessions')
    && await row(page, first).locator('td').first().textContent() === String(sessions.A.length)),
    'it shows the sessions of a server');

  // What the script leaves alone.
  const details = row(page, first).locator('details');
  const limit = details.locator('input[name=for]');
  ok(await tab_to(page, details.locator('summary')), 'Tab leads to the server');
  await page.keyboard.press('Enter');
  ok(await tab_to(page, limit), 'Enter opens what can be done with it');
  await page.keyboard.type('1');
  // Another server comes, before this one.
  await page.route('**/sticky', async (route) => {
    const response = await route.fetch();
    const text = await response.text();
    const [start] = text.match(/<tr [^>]*data-k="127[^]*?<\/tr>/);
    await route.fulfill({ response, body: text.replace(start, `${start.replaceAll(first, 'new')}${start}`) });
  });
  ok(await until(() => row(page, 'new').count()), 'the page brings itself up to date');
  const when = await page.locator('#when').textContent();
  ok(await until(async () => await page.locator('#when').textContent() !== when), 'again and again');
  ok(await details.evaluate((it) => it.open), 'what was open is open yet');
  is(await limit.inputValue(), '1', 'what was typed is there');
  ok(await limit.evaluate((it) => it === document.activeElement), 'and has the focus');
  await page.unroute('**/sticky');
  ok(await until(async () => !await row(page, 'new').count()), 'the other server goes');
  ok(await limit.evaluate((it) => it === document.activeElement), 'the focus stays');

  // Drained with the keyboard.
  ok(await tab_to(page, details.locator('button', { hasText: 'Drain' }), 'Shift+Tab'), 'to the button');
  await enter(page);
  is(await notice(page), `Server "${first}" gets no new sessions, and none at all in 1 s, upstream "shop".`,
    'Enter drains the server');
  ok(await page.locator('.notice [role=alert]').evaluate((it) => it === document.activeElement),
    'the focus is on what is said of it');
  const left = (text) => until(async () => (await row(page, first).textContent()).includes(text));
  ok(await left(`${sessions.A.length} sessions left`), 'the page says how many are left');
  const away = async (ids) => {
    for (const id of ids) await until(async () => (await visit(id)).server !== 'A');
  };
  await away(sessions.A.slice(2));
  ok(await left('2 sessions left'), 'then fewer, as they go elsewhere');
  await away(sessions.A);
  ok(await left('no session left'), 'then none');
  is(await page.locator('#note').textContent(), '', 'all of that without a reload');

  // Put back, and one session.
  await tab_to(page, details.locator('summary'));
  await page.keyboard.press('Enter');
  await tab_to(page, details.locator('button', { hasText: 'Put back' }));
  await enter(page);
  is(await notice(page), `Server "${first}" gets new sessions, upstream "shop".`, 'it is put back');
  const [id] = sessions.B;
  const field = shop(page).locator('input[name=id]');
  await tab_to(page, field);
  await page.keyboard.type(id);
  await tab_to(page, shop(page).locator('button', { hasText: 'Look up' }));
  await enter(page);
  ok((await notice(page)).startsWith(`The session is at server "${second}"`), 'a session is looked up',
    await notice(page));
  await tab_to(page, field);
  await page.keyboard.type(id);
  await tab_to(page, shop(page).locator('button[value=forget]'));
  await enter(page);
  ok((await notice(page)).startsWith('Forget this session?'), 'the page asks before it forgets one',
    await notice(page));
  is((await visit(id)).status, 'HIT', 'until then it is there');
  await tab_to(page, page.locator('.notice button', { hasText: 'Yes' }));
  await enter(page);
  is(await notice(page), 'A session is forgotten, upstream "shop".', 'it is forgotten');
  is((await visit(id)).status, 'MISS', 'and unknown to nginx');
  await page.locator('#pause').press('Enter');
  is(await page.locator('#pause').textContent(), 'Go on', 'Pause');
  await page.context().close();
}

async function plain(browser, [first, second], sessions) {
  const page = await open(browser,
    { javaScriptEnabled: false, colorScheme: 'dark', viewport: { width: 360, height: 700 } });
  ok(!await page.locator('#pause').isVisible(), 'without JavaScript: no button that needs it');
  const details = row(page, second).locator('details');
  const press = async (element) => {
    await element.focus();
    await enter(page);
  };
  await details.locator('summary').press('Enter');
  await press(details.locator('button', { hasText: 'Drain' }));
  is(await notice(page), `Server "${second}" gets no new sessions, upstream "shop".`, 'a server is drained');
  ok((await row(page, second).textContent()).includes('sessions left'), 'how many are left');
  await details.locator('summary').press('Enter');
  await details.locator('select').selectOption(first);
  await press(details.locator('button', { hasText: 'Move' }));
  ok((await notice(page)).startsWith('Move 100 % of the sessions'), 'the page asks', await notice(page));
  is((await visit(sessions.B[1])).server, 'B', 'until then they are there');
  await press(page.locator('.notice button', { hasText: 'Yes' }));
  ok((await notice(page)).includes(`move to "${first}"`), 'its sessions move', await notice(page));
  const servers = [];
  for (const id of sessions.B.slice(1)) servers.push((await visit(id)).server);
  is(servers.join(''), 'A'.repeat(sessions.B.length - 1), 'where it is said');
  await press(page.locator('.notice a', { hasText: 'Close' }));
  is(await page.locator('.notice').count(), 0, 'what was said of it goes');
  await shop(page).locator('input[name=id]').fill(sessions.B[1]);
  await press(shop(page).locator('button', { hasText: 'Look up' }));
  ok((await notice(page)).startsWith(`The session is at server "${first}"`), 'a session is looked up',
    await notice(page));
  await page.context().close();
}

(async () => {
  const sessions = await begin(['A', 'B', 'C']);
  const browser = await chromium.launch({
    executablePath: '/usr/bin/chromium', chromiumSandbox: process.getuid() !== 0,
  });
  try {
    const servers = process.argv.slice(3);
    await looks(browser);
    await keyboard(browser, servers, sessions);
    await plain(browser, servers, sessions);
    is(complaints.join('\n'), '', 'Chromium does not complain, of the policy neither');
  } finally {
    await browser.close();
  }
})().catch((error) => {
  console.log(`not ok - ${error.message.split('\n')[0]}`);
  console.error(error);
  process.exitCode = 1;
});
