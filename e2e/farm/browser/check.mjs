// Uses the dashboard as an operator does, and fails if anything is not as it should be.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { open, close, farm, problems } from './page.mjs';

const axe = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');

const page = await open();
const row = (name) => page.locator('.phone', { has: page.getByRole('button', { name, exact: true }) });
const group = (standing) => page.locator(`.group[data-standing=${standing}]`);
const focused = () => page.evaluate(() => document.activeElement.textContent || document.activeElement.id);
const began = Date.now();
const step = (text) => console.error(`# ${((Date.now() - began) / 1000).toFixed(1)} s: ${text}`);

step('all phones are there, each in its group');
await row('Anna’s iPhone').waitFor();
await group('ready').getByText('Anna’s iPhone').waitFor();
await group('needs').getByText('Clara', { exact: true }).waitFor();
await group('needs').getByText('Somebody tapped Don\'t Trust').waitFor();
await group('pending').getByText('Kiosk 01', { exact: true }).waitFor();
const total = Number(process.env.PHONES);
assert.equal(await page.locator('.phone').count(), total);
assert.equal((await page.locator('button.tile b').allTextContents()).map(Number).reduce((a, b) => a + b), total);

step('the keyboard alone: skip link, search, details');
await page.keyboard.press('Tab');
assert.equal(await focused(), 'Skip to the phones');
await page.keyboard.press('/');
assert.equal(await focused(), 'search');
await page.keyboard.type('clara denied');
await page.getByText(`1 of ${total} phones`).waitFor();
await page.keyboard.press('Escape');
await page.waitForFunction((n) => [...document.querySelectorAll('.phone')].filter((e) => e.offsetParent).length === n, total);
for (let i = 0; (await focused()) !== 'Anna’s iPhone'; i++) {
  assert.ok(i < 100, 'Tab never comes to a phone');
  await page.keyboard.press('Tab');
}
await page.keyboard.press('Enter');
await row('Anna’s iPhone').getByText('UDID').waitFor();
assert.equal(await row('Anna’s iPhone').locator('.name').getAttribute('aria-expanded'), 'true');

step('a phone is unplugged: it goes at once, and the focus stays');
await farm('unplug Front desk');
await row('Front desk').waitFor({ state: 'detached' });
await page.locator('#log li', { hasText: 'Front desk Unplugged.' }).waitFor();
assert.equal(await page.locator('.phone').count(), total - 1);
await page.locator('#live', { hasText: 'Front desk unplugged' }).waitFor({ state: 'attached' });
assert.equal(await focused(), 'Anna’s iPhone');
await farm('plug Front desk');
await group('ready').getByText('Front desk', { exact: true }).waitFor();

step('transfers show');
await farm('transfer Anna’s iPhone');
await row('Anna’s iPhone').locator('.rate.in', { hasText: '/s' }).waitFor();
await page.waitForFunction(() => document.querySelector('#in').textContent !== '0');
await row('Anna’s iPhone').locator('.reading', { hasText: 'At most' }).waitFor();

step('the action, by keyboard: the phone asks, its owner trusts');
await page.getByRole('button', { name: 'Ask to trust this computer: Kiosk 01' }).focus();
await page.keyboard.press('Enter');
await page.locator('#log li', { hasText: 'Kiosk 01 Asked to trust this computer.' }).waitFor();
await group('ready').getByText('Kiosk 01', { exact: true }).waitFor();

step('what ends connections is asked twice, and touches one phone');
const before = await page.locator('.group[data-standing=ready] .phone').count();
await row('Anna’s iPhone').getByRole('button', { name: 'Open anew' }).click();
await row('Anna’s iPhone').getByRole('button', { name: /Open anew: / }).click();
await page.locator('#log li', { hasText: 'Anna’s iPhone Opened anew: ' }).waitFor();
await group('ready').getByText('Anna’s iPhone').waitFor();
assert.equal(await page.locator('.group[data-standing=ready] .phone').count(), before);

step('groups can be shown alone');
await page.getByRole('button', { name: /need.* someone/ }).click();
await group('ready').waitFor({ state: 'hidden' });
await page.keyboard.press('Escape');
await group('ready').waitFor();

step('the daemon goes and comes back');
page.away = true;
await farm('stop');
await page.getByRole('alert').getByText('The daemon has not answered').waitFor();
assert.equal(await page.locator('.phone').count(), total);
await farm('start');
await page.getByRole('alert').waitFor({ state: 'hidden' });
await page.locator('#log li', { hasText: 'The daemon answers again.' }).waitFor();
page.away = false;

step('everybody can read it');
for (const scheme of ['light', 'dark']) {
  for (const width of [1280, 390]) {
    const p = await open({ colorScheme: scheme, viewport: { width, height: 850 }, bypassCSP: true });
    await p.locator('.name').nth(2).click();
    await p.evaluate(axe);
    const { violations } = await p.evaluate(() => globalThis.axe.run());
    for (const v of violations) problems.push(`axe, ${scheme}, ${width} px: ${v.id}: ${v.help}: ${v.nodes.map((n) => n.html).slice(0, 3).join(' | ')}`);
    if (await p.evaluate(() => document.documentElement.scrollWidth > innerWidth)) problems.push(`${width} px are too few`);
    await p.context().close();
  }
}

await close();
step('done');
for (const p of problems) console.error(p);
process.exit(problems.length > 0 ? 1 : 0);
