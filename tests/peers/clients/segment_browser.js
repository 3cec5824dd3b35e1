// Plays the scene with @segment/analytics-next in Chromium, on a page of another origin than the tracking API:
// `segment_browser.js HOST WRITE_KEY standard|batching`; tells on stdout how it went and what the page's console said.
const http = require('http');
const fs = require('fs');
const path = require('path');
const { chromium } = require('playwright-core');
const scene = require('./scene.json');

const [host, writeKey, strategy] = process.argv.slice(2);
const umd = path.join(path.dirname(require.resolve('@segment/analytics-next/package.json')), 'dist/umd');
const launched = {
  executablePath: process.env.CHROMIUM || '/usr/bin/chromium',
  args: ['--headless', '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run',
    '--disable-background-networking', '--disable-component-update', '--disable-sync'],
};

function serve(request, response) {
  const name = new URL(request.url, 'http://page').pathname;
  if (name === '/favicon.ico') return response.writeHead(204).end();
  if (name === '/shop') {
    response.setHeader('content-type', 'text/html; charset=utf-8');
    return response.end('<!doctype html><title>Negozio</title><script src="/index.js"></script>');
  }
  const file = path.join(umd, path.basename(name));
  if (!fs.existsSync(file)) return response.writeHead(404).end();
  response.setHeader('content-type', 'text/javascript');
  return fs.createReadStream(file).pipe(response);
}

async function play({ host, writeKey, strategy, scene }) {
  const failed = [];
  const browser = window.AnalyticsNext.AnalyticsBrowser.load(
    { writeKey, cdnURL: host },
    strategy === 'batching'
      ? { integrations: { 'Segment.io': { deliveryStrategy: { strategy, config: { size: 4, timeout: 200 } } } } }
      : {},
  );
  const [analytics] = await browser;
  analytics.on('error', (error) => failed.push(String(error.reason ?? error.code ?? error)));
  analytics.setAnonymousId(scene.anonymous);
  await analytics.page(undefined, scene.page, scene.properties);
  await analytics.identify(scene.user, scene.traits);
  await analytics.track(scene.event, scene.properties);
  await analytics.track('Order Completed', scene.order);
  await analytics.track('Long ago', {}, { timestamp: scene.old });
  await analytics.screen(undefined, scene.screen, scene.properties);
  await analytics.group(scene.group, scene.traits);
  await analytics.alias(scene.user, scene.previous);
  await analytics.alias('another-user'); // sent as an alias of the user to themselves: must do nothing
  return failed;
}

async function main() {
  const server = http.createServer(serve).listen(0, '127.0.0.1');
  const browser = await chromium.launch(launched);
  const page = await browser.newPage();
  const said = [];
  let answered = 0;
  page.on('console', (message) => said.push(`${message.type()}: ${message.text()}`));
  page.on('pageerror', (error) => said.push(`error: ${error}`));
  page.on('response', (response) => {
    const sent = response.request();
    if (!response.ok() || sent.method() !== 'POST' || !sent.url().startsWith(`${host}/v1/`)) return;
    const body = JSON.parse(sent.postData());
    answered += body.batch ? body.batch.length : 1;
  });
  if (process.env.CLOCK_OFF) await page.clock.setSystemTime(Date.now() + Number(process.env.CLOCK_OFF));
  await page.goto(`http://127.0.0.1:${server.address().port}/shop?utm_source=news&utm_campaign=primavera`);
  const failed = await page.evaluate(play, { host, writeKey, strategy, scene }).catch((error) => [String(error)]);
  const until = Date.now() + 20_000; // batches and repetitions go out by the client's own timers
  while (answered < 9 && !failed.length && Date.now() < until) await new Promise((done) => setTimeout(done, 50));
  await browser.close();
  server.close();
  console.log(JSON.stringify({ calls: 9, answered, failed, said }));
}

main();
