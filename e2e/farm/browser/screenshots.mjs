// Takes the pictures of the documents into the directory that the argument names.
import { join } from 'node:path';
import { open, close, problems } from './page.mjs';

async function take(name, options, prepare = () => {}) {
  const page = await open({ deviceScaleFactor: 1.5, ...options });
  await page.waitForTimeout(2500); // for rates, which are the difference of two looks
  await prepare(page);
  await page.screenshot({ path: join(process.argv[2], `dashboard-${name}.png`) });
  await page.context().close();
}

await take('light', { colorScheme: 'light', viewport: { width: 1360, height: 860 } });
await take('dark', { colorScheme: 'dark', viewport: { width: 1360, height: 860 } }, async (page) => {
  await page.getByRole('button', { name: 'ready' }).click();
  await page.locator('#order').selectOption('rate');
  await page.locator('.group[data-standing=ready] .name').first().click();
  await page.mouse.move(5, 5);
  await page.locator('.more .reading').first().waitFor();
});
await take('phone', { colorScheme: 'light', viewport: { width: 390, height: 844 }, deviceScaleFactor: 2 });
await close();
for (const p of problems) console.error(p);
process.exit(problems.length > 0 ? 1 : 0);
