// Plays the scene with @segment/analytics-node: `segment_node.js HOST WRITE_KEY`; tells on stdout how it went.
require('./clock');
const { Analytics } = require('@segment/analytics-node');
const scene = require('./scene.json');

const [host, writeKey] = process.argv.slice(2);
const { user: userId, anonymous: anonymousId, traits, properties } = scene;
const failed = [];
const client = new Analytics({ writeKey, host, flushAt: 5, flushInterval: 200 });
client.on('error', (error) => failed.push(String(error.reason ?? error)));

client.page({ anonymousId, name: scene.page, properties });
client.identify({ userId, anonymousId, traits });
client.track({ userId, event: scene.event, properties });
client.track({ userId, event: 'Order Completed', properties: scene.order });
client.track({ userId, event: 'Long ago', timestamp: new Date(scene.old) });
client.screen({ userId, name: scene.screen, properties });
client.group({ userId, groupId: scene.group, traits });
client.alias({ userId, previousId: scene.previous });
client.closeAndFlush({ timeout: 20_000 }).then(() => console.log(JSON.stringify({ calls: 8, failed })));
