// Plays the scene with @rudderstack/rudder-sdk-node: `rudder_node.js HOST WRITE_KEY`; tells on stdout how it went.
require('./clock');
const Analytics = require('@rudderstack/rudder-sdk-node');
const scene = require('./scene.json');

const [dataPlaneUrl, writeKey] = process.argv.slice(2);
const { user: userId, anonymous: anonymousId, traits, properties } = scene;
const failed = [];
let waiting = 0;
const client = new Analytics(writeKey, { dataPlaneUrl, flushAt: 5, flushInterval: 200, logLevel: 'none', errorHandler: () => {} });

function call(type, message) {
  waiting += 1;
  client[type](message, (error) => {
    if (error) failed.push(String(error));
    waiting -= 1;
    if (!waiting) console.log(JSON.stringify({ calls: 8, failed }));
  });
}

call('page', { anonymousId, name: scene.page, properties });
call('identify', { userId, anonymousId, traits });
call('track', { userId, event: scene.event, properties });
call('track', { userId, event: 'Order Completed', properties: scene.order });
call('track', { userId, event: 'Long ago', originalTimestamp: new Date(scene.old) });
call('screen', { userId, name: scene.screen, properties });
call('group', { userId, groupId: scene.group, traits });
call('alias', { userId, previousId: scene.previous });
