// OneVoice's service worker for web push: shows what comes, and opens its link when somebody presses it.
// The shop's own worker takes it in: importScripts("https://ONEVOICE/v1/push/worker.js").
self.addEventListener('push', (event) => {
  const message = event.data ? event.data.json() : {};
  const shown = { body: message.body, tag: message.id, data: { link: message.link } };
  event.waitUntil(self.registration.showNotification(message.title || '', shown));
});

self.addEventListener('notificationclick', (event) => {
  event.notification.close();
  const link = event.notification.data && event.notification.data.link;
  if (link) event.waitUntil(self.clients.openWindow(link));
});
