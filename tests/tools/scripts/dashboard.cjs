// Somebody at the dashboard, in a real Chromium: a recording from its start to its file, by mouse
// and by keyboard, on a desk and on a phone, by day and in the dark. tests/it/service/dashboard.rs
// runs it against `roomreel serve`; it leaves pictures of the pages in OUT.
'use strict';
const assert = require('node:assert/strict');
const fs = require('node:fs');
const path = require('node:path');
const { chromium } = require('playwright-core');

const { BASE, MEETING, PASSWORD, CHROMIUM, OUT } = process.env;
const AXE = fs.readFileSync(require.resolve('axe-core/axe.min.js'), 'utf8');
/** For what a busy machine does. */
const PATIENCE = 90_000;

const DESK = { viewport: { width: 1280, height: 900 }, colorScheme: 'light' };
const PHONE = { viewport: { width: 390, height: 844 }, colorScheme: 'dark', isMobile: true, hasTouch: true };

/** What pages complained of: scripts that failed and what their policy forbade. */
const complaints = [];

async function opened(browser, options) {
  const context = await browser.newContext(options);
  context.setDefaultTimeout(PATIENCE);
  context.on('page', (page) => {
    page.on('pageerror', (error) => complaints.push(String(error)));
    page.on('console', (message) => {
      if (/Content Security Policy|Refused to/.test(message.text())) complaints.push(message.text());
    });
  });
  return context;
}

/** Judges the page as it is, and keeps a picture of it. */
async function judge(page, name) {
  // Evaluated, as the page's policy lets no script of others in.
  await page.evaluate(AXE);
  const { violations } = await page.evaluate(() => axe.run());
  const told = violations.map((v) => `${v.impact} ${v.id}: ${v.nodes.map((n) => n.html).join(' ')}`);
  assert.deepEqual(told, [], `${name} at ${page.url()}`);
  const wide = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
  assert.ok(wide <= 0, `${name} is ${wide} pixels wider than its window`);
  await page.screenshot({ path: path.join(OUT, `${name}.png`), fullPage: true });
}

/** Goes on by the keyboard until what has the focus is what `selector` names. */
async function tabTo(page, selector) {
  for (let presses = 0; presses < 60; presses += 1) {
    await page.keyboard.press('Tab');
    if (await page.evaluate((wanted) => document.activeElement.matches(wanted), selector)) {
      const outline = await page.evaluate(() => getComputedStyle(document.activeElement).outlineStyle);
      assert.notEqual(outline, 'none', `${selector} does not show that it has the focus`);
      return;
    }
  }
  assert.fail(`Tab never leads to ${selector}`);
}

const status = (page, text) => page.locator('#status', { hasText: text }).waitFor();
const elapsed = (page) => page.locator('#elapsed').textContent();

async function signIn(page) {
  await page.goto(`${BASE}/`);
  assert.match(page.url(), /\/sign-in/);
  // The field has the focus from the beginning.
  await page.keyboard.type(`not ${PASSWORD}`);
  await page.keyboard.press('Enter');
  await page.getByRole('alert').waitFor();
  await judge(page, 'sign-in');
  await page.keyboard.type(PASSWORD);
  await page.keyboard.press('Enter');
  await page.getByRole('heading', { name: 'Recordings' }).waitFor();
}

/** Without a mouse. */
async function start(page) {
  await page.keyboard.press('Tab');
  assert.equal(await page.evaluate(() => document.activeElement.textContent), 'Skip to the content');
  await page.keyboard.press('Enter');
  assert.equal(await page.evaluate(() => document.activeElement.id), 'main');
  await tabTo(page, 'summary');
  await page.keyboard.press('Enter');
  await tabTo(page, '#room_id');
  await page.keyboard.type('standup');
  await tabTo(page, '#meeting_url');
  await page.keyboard.type('ftp://meet.example/');
  await judge(page, 'start');
  await page.keyboard.press('Enter');
  // What no browser opens is refused, and said where it was typed.
  await page.getByRole('alert').filter({ hasText: 'meeting_url' }).waitFor();
  await judge(page, 'start-refused');
  await page.locator('#meeting_url').fill(MEETING);
  await page.locator('#resolution').selectOption('854x480');
  await page.getByRole('button', { name: 'Start recording' }).click();
  await page.waitForURL(/\/recordings\/[0-9a-f]{24}$/);
}

/** The page follows by itself: it is not loaded again by us. */
async function live(page, phone) {
  await status(page, 'Recording');
  const before = await elapsed(page);
  await page.waitForFunction((old) => document.querySelector('#elapsed').textContent !== old, before);
  await page.waitForFunction(() => {
    const [picture, words] = ['#picture', '[data-no-picture]'].map((s) => document.querySelector(s));
    return words.hidden && !picture.hidden && picture.naturalWidth > 0;
  });
  const first = await page.locator('#picture').getAttribute('src');
  await page.waitForFunction((old) => document.querySelector('#picture').getAttribute('src') !== old, first);
  // It began without: what is taken over is taken over whole.
  await page.getByRole('button', { name: 'Pause' }).waitFor();
  await page.getByRole('button', { name: 'Stop recording' }).waitFor();
  await judge(page, 'live');
  await page.getByText('Watch and listen').click();
  await page.locator('#watch video').evaluate((film) => new Promise((done, fail) => {
    film.muted = true;
    film.onerror = () => fail(new Error(film.error.message));
    film.ontimeupdate = () => { if (film.currentTime > 0.5) done(); };
    film.play().catch(fail);
  }));
  await page.getByText('Watch and listen').click();
  const other = await phone.newPage();
  await other.goto(page.url());
  await status(other, 'Recording');
  await judge(other, 'live-phone-dark');
  await other.goto(`${BASE}/node`);
  await judge(other, 'node-phone-dark');
  await other.goto(`${BASE}/`);
  await other.getByText('standup').waitFor();
  await judge(other, 'recordings-phone-dark');
  await other.close();

  await page.getByRole('button', { name: 'Pause' }).click();
  await status(page, 'Paused');
  await tabTo(page, '#resume');
  // What is refreshed meanwhile does not take the focus away.
  await page.evaluate(() => { document.querySelector('#controls').append('stale'); });
  await page.waitForFunction(() => !document.querySelector('#controls').textContent.includes('stale'));
  assert.equal(await page.evaluate(() => document.activeElement.id), 'resume');
  await page.keyboard.press('Enter');
  await status(page, 'Recording');
  const after = await elapsed(page);
  await page.waitForFunction((old) => document.querySelector('#elapsed')?.textContent !== old, after);
  await page.getByRole('button', { name: 'Stop recording' }).click();
}

async function finished(page, phone) {
  await status(page, 'Completed');
  const video = page.locator('video');
  await video.waitFor();
  const length = await video.evaluate((film) => new Promise((done, fail) => {
    film.muted = true;
    film.onerror = () => fail(new Error(film.error.message));
    film.ontimeupdate = () => { if (film.currentTime > 1) done(film.duration); };
    film.play().catch(fail);
  }));
  assert.ok(length > 1, `${length} s`);
  const size = await video.evaluate((film) => [film.videoWidth, film.videoHeight]);
  assert.deepEqual(size, [854, 480]);
  // It can be gone to any place of it.
  const sought = await video.evaluate((film) => new Promise((done) => {
    film.pause();
    film.onseeked = () => done(film.currentTime);
    film.currentTime = film.duration - 0.5;
  }));
  assert.ok(Math.abs(sought - (length - 0.5)) < 0.1, `${sought} of ${length}`);
  const part = await video.evaluate(async (film) => {
    const answer = await fetch(film.src, { headers: { Range: 'bytes=4-7' } });
    return [answer.status, await answer.text()];
  });
  assert.deepEqual(part, [206, 'ftyp']);
  const [download] = await Promise.all([
    page.waitForEvent('download'),
    page.getByRole('link', { name: /^Download/ }).click(),
  ]);
  assert.match(download.suggestedFilename(), /^Rec-standup-\d+\.mp4$/);
  const saved = fs.statSync(await download.path()).size;

  await page.getByRole('button', { name: 'Copy link' }).click();
  await page.locator('#said', { hasText: 'The link is copied.' }).waitFor();
  const link = await page.evaluate(() => navigator.clipboard.readText());
  assert.match(link, /^http:\/\/127\.0\.0\.1:\d+\/files\/.*signature=/);
  // It is good for whoever has it.
  const given = await fetch(link);
  assert.deepEqual([given.status, (await given.arrayBuffer()).byteLength], [200, saved]);
  // A moment after the end there is a poster, also in the list.
  const poster = await video.getAttribute('poster');
  await page.waitForFunction(async (url) => (await fetch(url)).ok, poster);
  await judge(page, 'finished');
  const other = await phone.newPage();
  await other.goto(page.url());
  await other.locator('video').waitFor();
  await judge(other, 'finished-phone-dark');
  await other.close();
}

async function webhooks(page, phone) {
  await page.getByRole('link', { name: 'Webhooks' }).click();
  const row = page.getByRole('row').filter({ hasText: 'beam.recording.success' });
  await row.filter({ hasText: 'Delivered' }).waitFor();
  await judge(page, 'webhooks');
  const other = await phone.newPage();
  await other.goto(page.url());
  await judge(other, 'webhooks-phone-dark');
  await other.close();
  await row.getByRole('button', { name: /^Tell again/ }).click();
  await page.getByText('1 delivery is made again.').waitFor();
  await row.filter({ hasText: 'told again' }).filter({ hasText: 'Delivered' }).waitFor();
}

async function storage(page) {
  await page.getByRole('link', { name: 'Storage' }).click();
  await judge(page, 'storage');
  await page.getByRole('button', { name: /^Check now/ }).click();
  for (const step of ['write', 'read', 'presign', 'delete']) {
    await page.getByRole('row').filter({ hasText: step }).filter({ hasText: 'ok' }).waitFor();
  }
  await judge(page, 'storage-checked');
}

/** With no script at all. */
async function plain(browser) {
  const context = await opened(browser, { ...DESK, javaScriptEnabled: false });
  const page = await context.newPage();
  await page.goto(`${BASE}/storage`);
  await page.getByLabel('Password').fill(PASSWORD);
  await page.getByRole('button', { name: 'Sign in' }).click();
  await page.getByRole('button', { name: /^Check now/ }).click();
  await page.getByRole('row').filter({ hasText: 'delete' }).filter({ hasText: 'ok' }).waitFor();
  await page.getByRole('link', { name: 'Recordings' }).click();
  await page.getByRole('link', { name: 'standup', exact: true }).click();
  await page.locator('video').waitFor();
  assert.match(await page.getByLabel(/^Link for/).inputValue(), /^http/);
  await context.close();
}

async function main() {
  const args = process.getuid() === 0 ? ['--no-sandbox'] : [];
  const browser = await chromium.launch({ executablePath: CHROMIUM, args });
  try {
    const context = await opened(browser, { ...DESK, acceptDownloads: true });
    await context.grantPermissions(['clipboard-read', 'clipboard-write'], { origin: BASE });
    const page = await context.newPage();
    await signIn(page);
    await judge(page, 'empty');
    const phone = await opened(browser, { ...PHONE, storageState: await context.storageState() });
    await start(page);
    await live(page, phone);
    await finished(page, phone);
    await webhooks(page, phone);
    await storage(page);
    await page.getByRole('link', { name: 'Node' }).click();
    await judge(page, 'node');
    await page.getByRole('link', { name: 'Recordings' }).click();
    await page.waitForFunction(() => document.querySelector('img.thumb')?.naturalWidth > 0);
    await judge(page, 'recordings');
    await plain(browser);
    await page.getByRole('button', { name: 'Sign out' }).click();
    await page.getByRole('heading', { name: 'Sign in' }).waitFor();
    await page.goto(`${BASE}/node`);
    assert.match(page.url(), /\/sign-in/);
    assert.deepEqual(complaints, []);
  } finally {
    await browser.close();
  }
}

main().catch((error) => {
  console.error(error);
  process.exit(1);
});
