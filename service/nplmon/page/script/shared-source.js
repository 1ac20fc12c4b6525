/**
 * Shared source: the service's events over one connection for all tabs of a browser.
 *
 * A browser opens six connections to one service, and each tab that listens would keep one: with six views open the
 * seventh would wait for ever. So one tab, the one that holds a lock, listens and passes on what it hears. When it
 * closes, the lock goes to another. Where there are no locks (they need a secure address), each tab listens for itself.
 */

const NAME = "nplmon.events";
export const KINDS = ["hello", "tile", "gone", "store", "ping"];
/** Seconds of silence after which a tab that waits for another listens for itself: the other may hang. */
const PATIENCE = 12;

export class SharedSource extends EventTarget {
  constructor(address, { locks = globalThis.navigator?.locks, Source = globalThis.EventSource, Channel = globalThis.BroadcastChannel } = {}) {
    super();
    Object.assign(this, { address, Source, source: null, leading: false, hello: null, ended: new AbortController() });
    if (!locks || !Channel) {
      this.#listen();
      return;
    }
    this.channel = new Channel(NAME);
    this.channel.onmessage = ({ data }) => this.#overhear(data);
    this.channel.postMessage({ kind: "ask" });
    this.waiting = setTimeout(() => this.source ?? this.#listen(), PATIENCE * 1000);
    const lead = () => new Promise((resolve) => this.#lead(resolve));
    locks.request(NAME, { signal: this.ended.signal }, lead).catch(() => {
      // Closed before its turn came.
    });
  }

  close() {
    clearTimeout(this.waiting);
    this.ended.abort();
    this.source?.close();
    this.channel?.close();
    this.release?.();
  }

  #lead(release) {
    if (this.ended.signal.aborted) {
      release();
      return;
    }
    this.release = release;
    this.leading = true;
    if (!this.source) this.#listen();
  }

  #listen() {
    clearTimeout(this.waiting);
    this.source = new this.Source(this.address);
    for (const kind of KINDS) {
      this.source.addEventListener(kind, ({ data }) => {
        if (kind === "hello") this.hello = { told: JSON.parse(data), at: performance.now() };
        this.#tell(kind, data);
        if (this.leading) this.channel.postMessage({ kind, data });
      });
    }
    this.source.addEventListener("error", () => this.dispatchEvent(new Event("error")));
  }

  #overhear({ kind, data }) {
    if (kind === "ask") this.#answer();
    else if (!this.source) {
      clearTimeout(this.waiting);
      this.#tell(kind, data);
    }
  }

  /** A tab that has just opened: greet it, with the time as it is now. */
  #answer() {
    if (!this.leading || !this.hello) return;
    const { told, at } = this.hello;
    const now = told.now + (performance.now() - at) / 1000;
    this.channel.postMessage({ kind: "hello", data: JSON.stringify({ ...told, now }) });
  }

  #tell(kind, data) {
    this.dispatchEvent(Object.assign(new Event(kind), { data }));
  }
}
