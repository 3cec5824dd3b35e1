// OneVoice's web push for a page of the shop. OneVoicePush.subscribe({ writeKey, userId, worker }) after a press of a
// button: asks the browser's leave, subscribes, and tells the customer's address. OneVoicePush.refresh(the same) on
// every page: tells it anew where the browser has changed it. Both give a promise of the subscription, or of null.
(() => {
  const publicKey = '%PUBLIC_KEY%';
  const ours = new URL(document.currentScript.src).origin;
  const kept = 'onevoice_push';

  const bytes = (text) => {
    const whole = atob(text.replace(/-/g, '+').replace(/_/g, '/') + '==='.slice((text.length + 3) % 4));
    return Uint8Array.from(whole, (letter) => letter.charCodeAt(0));
  };

  const supported = () => 'serviceWorker' in navigator && 'PushManager' in window;

  const told = () => JSON.parse(localStorage.getItem(kept) || '{}');

  async function tell(options, subscription) {
    const address = JSON.stringify(subscription);
    const before = told();
    const anonymousId = options.anonymousId || before.anonymousId || crypto.randomUUID();
    const userId = options.userId || null;
    if (before.address === address && before.userId === userId && before.anonymousId === anonymousId) return;
    const answer = await fetch(`${ours}/v1/identify`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', authorization: `Basic ${btoa(`${options.writeKey}:`)}` },
      body: JSON.stringify({ anonymousId, ...(userId && { userId }), traits: { webpush_subscription: address } }),
    });
    if (!answer.ok) throw new Error(`OneVoice did not take the subscription: ${answer.status} ${await answer.text()}`);
    localStorage.setItem(kept, JSON.stringify({ address, anonymousId, userId }));
  }

  async function subscribe(options) {
    if (!supported() || (await Notification.requestPermission()) !== 'granted') return null;
    await navigator.serviceWorker.register(options.worker || '/onevoice-push.js');
    const { pushManager } = await navigator.serviceWorker.ready;
    const wanted = { userVisibleOnly: true, applicationServerKey: bytes(publicKey) };
    const subscription = await pushManager.subscribe(wanted);
    await tell(options, subscription);
    return subscription;
  }

  async function refresh(options) {
    if (!supported() || Notification.permission !== 'granted') return null;
    const registration = await navigator.serviceWorker.getRegistration(options.worker || '/onevoice-push.js');
    const subscription = registration && (await registration.pushManager.getSubscription());
    if (subscription) await tell(options, subscription);
    return subscription || null;
  }

  window.OneVoicePush = { subscribe, refresh };
})();
