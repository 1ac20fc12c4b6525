import assert from "node:assert/strict";
import { mock, test } from "node:test";

globalThis.addEventListener ??= () => {};
globalThis.document ??= { addEventListener() {}, hidden: false };
const { Live, PATIENCE } = await import(`${JSON.parse(process.env.PAGE)}/live.js`);

class Source extends EventTarget {
  static all = [];
  constructor(address) {
    super();
    this.address = address;
    this.closed = false;
    Source.all.push(this);
  }
  close() {
    this.closed = true;
  }
  say(kind, data) {
    this.dispatchEvent(Object.assign(new Event(kind), { data: JSON.stringify(data) }));
  }
}

const turn = () => new Promise((resolve) => setImmediate(resolve));
const tile = (monitor, value = 1) => ({ monitor, value, state: "ok" });

function connected(tiles = [tile("a")], skew = 0) {
  mock.timers.enable({ apis: ["setInterval", "setTimeout", "Date"], now: 1_000_000_000 });
  Source.all = [];
  const now = () => Date.now() / 1000 + skew;
  const api = { get: async () => ({ now: now(), version: "1", tiles: api.tiles }), tiles };
  const live = new Live({ api, Source });
  const heard = [];
  for (const name of ["tile", "gone", "tiles", "state"]) live.addEventListener(name, ({ detail }) => heard.push([name, detail]));
  live.start();
  return { live, api, heard, now, source: () => Source.all.at(-1) };
}

test("the clock is the service's, whatever the browser's says", async (context) => {
  context.after(() => mock.timers.reset());
  const { live, now, source } = connected([], 3600);
  source().say("hello", { now: now(), version: "0.1.0" });
  await turn();
  mock.timers.tick(5000);
  assert.equal(live.now(), 1_000_000 + 3600 + 5);
  assert.equal(live.version, "0.1.0");
  live.close();
});

test("silence is told after a while, a ping ends it, and a connection that says nothing is made anew", async (context) => {
  context.after(() => mock.timers.reset());
  const { live, now, source, heard } = connected();
  source().say("hello", { now: now(), version: "1" });
  await turn();
  assert.equal(live.status, "live");
  for (let ping = 0; ping < 3; ping += 1) {
    mock.timers.tick(10_000);
    source().say("ping", { now: now() });
  }
  assert.equal(live.status, "live");
  const last = live.heardAt;
  mock.timers.tick((PATIENCE + 1) * 1000);
  assert.equal(live.status, "lost");
  assert.equal(live.heardAt, last);
  mock.timers.tick(1000);
  assert.equal(Source.all.length, 2);
  assert.ok(Source.all[0].closed);
  source().say("hello", { now: now(), version: "1" });
  assert.equal(live.status, "live");
  assert.deepEqual(heard.filter(([name]) => name === "state").map(([, status]) => status), ["live", "lost", "live"]);
  live.close();
});

test("a refused connection is tried again, later each time", async (context) => {
  context.after(() => mock.timers.reset());
  const { live } = connected();
  for (let failure = 0; failure < 40; failure += 1) {
    Source.all.at(-1).dispatchEvent(new Event("error"));
    mock.timers.tick(1000);
  }
  assert.ok(Source.all.length > 3 && Source.all.length < 12, String(Source.all.length));
  assert.equal(live.status, "lost");
  live.close();
});

test("monitors that vanished while nobody listened are dropped; what came meanwhile is newer", async (context) => {
  context.after(() => mock.timers.reset());
  const { live, api, now, source } = connected([tile("a"), tile("b")]);
  source().say("hello", { now: now(), version: "1" });
  await turn();
  assert.deepEqual([...live.tiles.keys()], ["a", "b"]);
  source().dispatchEvent(new Event("error"));
  mock.timers.tick(2000);
  api.tiles = [tile("a", 1)];
  source().say("hello", { now: now(), version: "1" });
  source().say("tile", tile("a", 2));
  await turn();
  assert.deepEqual([...live.tiles.values()], [tile("a", 2)]);
  live.close();
});

test("a service without its store is not live, though it speaks", async (context) => {
  context.after(() => mock.timers.reset());
  const { live, now, source } = connected();
  source().say("hello", { now: now(), version: "1" });
  await turn();
  const last = live.heardAt;
  source().say("store", { reachable: false });
  mock.timers.tick(10_000);
  source().say("ping", { now: now() });
  assert.equal(live.status, "lost");
  assert.equal(live.heardAt, last);
  source().say("store", { reachable: true });
  await turn();
  assert.equal(live.status, "live");
  live.close();
});
