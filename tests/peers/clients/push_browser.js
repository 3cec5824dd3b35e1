// Web push in Chromium, on a page of the shop: `push_browser.js HOST WRITE_KEY PAYLOAD`. No push service can be reached
// from here, so the browser is made to subscribe to a double; what it hands to the worker comes by DevTools.
const http = require('http');
const { chromium } = require('playwright-core');

const [host, writeKey, payload] = process.argv.slice(2);
const launched = {
  executablePath: process.env.CHROMIUM || '/usr/bin/chromium',
  args: ['--headless', '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run',
    '--disable-background-networking', '--disable-component-update', '--disable-sync'],
};
const subscription = { endpoint: 'https://push.example/abc', keys: { p256dh: 'BKey', auth: 'secret' } };

function serve(request, response) {
  if (request.url === '/onevoice-push.js') {
    response.setHeader('content-type', 'text/javascript');
    return response.end(`importScripts("${host}/v1/push/worker.js");`);
  }
  if (request.url !== '/') return response.writeHead(204).end();
  response.setHeader('content-type', 'text/html; charset=utf-8');
  return response.end(`<!doctype html><title>Negozio</title><script src="${host}/v1/push.js"></script>`);
}

async function main() {
  const server = http.createServer(serve).listen(0, '127.0.0.1');
  const browser = await chromium.launch(launched);
  const origin = `http://127.0.0.1:${server.address().port}`;
  const context = await browser.newContext({ permissions: ['notifications'] });
  await context.grantPermissions(['notifications'], { origin });
  const page = await context.newPage();
  const said = [];
  page.on('console', (message) => said.push(`${message.type()}: ${message.text()}`));
  page.on('pageerror', (error) => said.push(`error: ${error}`));
  const devtools = await context.newCDPSession(page);
  const registered = new Promise((done) => {
    devtools.on('ServiceWorker.workerRegistrationUpdated', ({ registrations }) => {
      if (registrations.length) done(registrations[0].registrationId);
    });
  });
  await devtools.send('ServiceWorker.enable');
  await page.goto(origin);
  const told = await page.evaluate(async ({ subscription, writeKey }) => {
    let asked;
    Notification.requestPermission = async () => 'granted'; // headless Chromium shows nobody the question
    const made = { ...subscription, toJSON: () => subscription };
    PushManager.prototype.subscribe = async (options) => { asked = options; return made; };
    PushManager.prototype.getSubscription = async () => made;
    const options = { writeKey, userId: 'anna' };
    const first = await window.OneVoicePush.subscribe(options);
    const key = asked.applicationServerKey;
    return { endpoint: first.endpoint, key: Array.from(key), visible: asked.userVisibleOnly };
  }, { subscription, writeKey });
  await devtools.send('ServiceWorker.deliverPushMessage', { origin, registrationId: await registered, data: payload });
  const [worker] = context.serviceWorkers();
  const pressed = await worker.evaluate(async () => {
    let shown = [];
    for (let tries = 0; !shown.length && tries < 100; tries += 1) {
      await new Promise((done) => setTimeout(done, 50));
      shown = await self.registration.getNotifications();
    }
    const opened = [];
    Object.getPrototypeOf(self.clients).openWindow = async (address) => opened.push(address); // wants a real press
    const said = shown.map(({ title, body, tag }) => ({ title, body, tag }));
    self.dispatchEvent(new NotificationEvent('notificationclick', { notification: shown[0] }));
    await new Promise((done) => setTimeout(done, 50));
    return { shown: said, opened, left: (await self.registration.getNotifications()).length };
  });
  await browser.close();
  server.close();
  console.log(JSON.stringify({ ...told, ...pressed, said }));
}

main();
