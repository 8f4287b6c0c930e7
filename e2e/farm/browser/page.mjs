// A page of the dashboard in Debian's Chromium, and orders to the farm.
import { chromium } from 'playwright-core';
import { createInterface } from 'node:readline';

export const link = process.env.DASHBOARD;

const lines = createInterface({ input: process.stdin })[Symbol.asyncIterator]();

// farm has the test do something with the phones or the daemon.
export async function farm(order) {
  console.log(order);
  const { value } = await lines.next();
  if (value !== 'done') throw new Error(`${order}: ${value}`);
}

const browser = await chromium.launch({
  executablePath: process.env.CHROMIUM, args: process.getuid() === 0 ? ['--no-sandbox'] : [],
});
export const close = () => browser.close();

export const problems = [];

// open shows the dashboard. What a browser complains of, and whatever is asked of
// another server, is a problem.
export async function open(options = {}) {
  const context = await browser.newContext({ viewport: { width: 1280, height: 850 }, reducedMotion: 'reduce', ...options });
  const page = await context.newPage();
  page.setDefaultTimeout(30_000);
  page.away = false; // nobody serves: what fails to load is no problem
  page.on('console', (m) => { if (['error', 'warning'].includes(m.type()) && !page.away) problems.push(`console: ${m.text()}`); });
  page.on('pageerror', (e) => problems.push(`error: ${e.message}`));
  page.on('request', (r) => { if (!r.url().startsWith(new URL(link).origin)) problems.push(`request: ${r.url()}`); });
  await page.goto(link);
  await page.waitForSelector('.phone');
  return page;
}
