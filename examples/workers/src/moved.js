addEventListener('fetch', (event) => {
  event.passThroughOnException();
  event.respondWith(moved(event));
});

addEventListener('scheduled', (event) => {
  event.waitUntil(Promise.resolve().then(() => console.log(`still moved to ${TARGET} at ${event.cron}`)));
});

async function moved(event) {
  const { pathname } = new URL(event.request.url);
  if (pathname === '/old/fail') throw new Error('nobody knows where it is');
  event.waitUntil(scheduler.wait(1).then(() => console.log(`moved ${pathname}`)));
  return Response.redirect(TARGET + pathname.replace(/^\/old/, ''), 301);
}
