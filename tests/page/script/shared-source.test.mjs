import assert from "node:assert/strict";
import { mock, test } from "node:test";

const { SharedSource } = await import(`${JSON.parse(process.env.PAGE)}/shared-source.js`);

/** What tabs of one browser share. */
function browser() {
  const tabs = new Set();
  const queue = [];
  let held = false;
  const next = () => {
    if (held || !queue.length) return;
    held = true;
    const { lead, done } = queue.shift();
    lead().then(() => {
      held = false;
      done();
      next();
    });
  };
  class Channel {
    constructor() {
      tabs.add(this);
    }
    postMessage(data) {
      for (const tab of tabs) if (tab !== this) queueMicrotask(() => tab.onmessage?.({ data }));
    }
    close() {
      tabs.delete(this);
    }
  }
  class Source extends EventTarget {
    static open = new Set();
    constructor() {
      super();
      Source.open.add(this);
    }
    close() {
      Source.open.delete(this);
    }
    say(kind, data) {
      this.dispatchEvent(Object.assign(new Event(kind), { data: JSON.stringify(data) }));
    }
  }
  const locks = {
    request: (_, { signal }, lead) =>
      new Promise((done, fail) => {
        const turn = { lead, done };
        signal.addEventListener("abort", () => {
          const place = queue.indexOf(turn);
          if (place >= 0) fail(queue.splice(place, 1));
        });
        queue.push(turn);
        next();
      }),
  };
  const tab = () => {
    const source = new SharedSource("/v1/events", { locks, Source, Channel });
    const heard = [];
    for (const kind of ["hello", "tile", "ping"]) source.addEventListener(kind, ({ data }) => heard.push([kind, JSON.parse(data)]));
    return { source, heard };
  };
  return { tab, Source };
}

const turn = () => new Promise((resolve) => setImmediate(resolve));

test("all tabs hear what one connection says, and a late one is greeted with the time as it is", async () => {
  const { tab, Source } = browser();
  const one = tab();
  const [connection] = Source.open;
  connection.say("hello", { now: 100, version: "1" });
  const two = tab();
  await turn();
  assert.equal(Source.open.size, 1);
  const [[kind, hello]] = two.heard;
  assert.equal(kind, "hello");
  assert.ok(hello.now >= 100 && hello.now < 101);
  connection.say("tile", { monitor: "a" });
  await turn();
  assert.deepEqual(one.heard.at(-1), two.heard.at(-1));
  one.source.close();
  two.source.close();
});

test("when the tab that listens closes, another takes its place", async () => {
  const { tab, Source } = browser();
  const [one, two, three] = [tab(), tab(), tab()];
  three.source.close();
  one.source.close();
  await turn();
  assert.equal(Source.open.size, 1);
  [...Source.open][0].say("ping", { now: 1 });
  await turn();
  assert.deepEqual(two.heard, [["ping", { now: 1 }]]);
  assert.deepEqual(one.heard, []);
  two.source.close();
});

test("a tab that hears nothing from the one that listens does so itself", (context) => {
  mock.timers.enable({ apis: ["setTimeout"] });
  context.after(() => mock.timers.reset());
  const { tab, Source } = browser();
  const one = tab();
  const two = tab();
  mock.timers.tick(12_000);
  assert.equal(Source.open.size, 2);
  [...Source.open][1].say("ping", { now: 2 });
  assert.deepEqual(two.heard, [["ping", { now: 2 }]]);
  one.source.close();
  two.source.close();
});

test("without locks each tab listens for itself", () => {
  const { Source } = browser();
  const source = new SharedSource("/v1/events", { locks: undefined, Source });
  assert.equal(Source.open.size, 1);
  source.close();
  assert.equal(Source.open.size, 0);
});
