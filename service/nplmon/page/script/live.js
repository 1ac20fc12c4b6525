/**
 * Live: the tiles of all monitors as the service tells them, its clock, and whether it is being heard.
 *
 * Events: `tile` (detail: the tile), `gone` (detail: `{monitor}`), `tiles` (all of them are known, or known anew),
 * `state` (detail: the status). Status: "connecting" (never heard), "live", "silent" (the connection broke, not long
 * ago), "lost" (nothing heard for PATIENCE seconds, or the service has no store: what is shown is not live).
 */

import { SharedSource } from "./shared-source.js";

/** Seconds without a sign of life after which nothing that is shown may look live; the service speaks every 10. */
export const PATIENCE = 15;
const FIRST_RETRY = 0.5;
const LAST_RETRY = 10;

export class Live extends EventTarget {
  constructor({ api, address = "/v1/events", overview = "/v1/overview", Source = SharedSource } = {}) {
    super();
    Object.assign(this, { api, address, overview, Source });
    this.tiles = new Map();
    this.loaded = false;
    this.version = "";
    this.status = "connecting";
    /** When something was heard last, in the service's time; null before. */
    this.heardAt = null;
    /** Whether the service says that its store does not answer. */
    this.storeless = false;
    this.offset = 0;
    this.heard = null;
    this.retry = FIRST_RETRY;
    this.waiting = null;
  }

  /** The service's clock, Unix seconds: right also where the browser's is not. */
  now() {
    return Date.now() / 1000 + this.offset;
  }

  start() {
    this.began = Date.now();
    this.#connect();
    this.watch = setInterval(() => this.#look(), 1000);
    // A page that slept, or a network that came back, looks at once.
    addEventListener("online", () => this.#again(0));
    document.addEventListener("visibilitychange", () => document.hidden || this.#look());
  }

  close() {
    clearInterval(this.watch);
    clearTimeout(this.waiting);
    this.source?.close();
  }

  #connect() {
    clearTimeout(this.waiting);
    this.waiting = null;
    this.source?.close();
    const source = new this.Source(this.address);
    this.source = source;
    this.opened = Date.now();
    const on = (name, act) =>
      source.addEventListener(name, (event) => {
        if (source === this.source) act(event.data ? JSON.parse(event.data) : null);
      });
    on("hello", (told) => {
      this.retry = FIRST_RETRY;
      this.version = told.version;
      this.storeless = false;
      this.#hear(told.now);
      this.#load();
    });
    on("ping", (told) => this.#hear(told?.now));
    on("store", ({ reachable }) => {
      this.storeless = !reachable;
      this.#hear();
      if (reachable) this.#load();
    });
    on("tile", (tile) => {
      this.#hear();
      if (this.pending) this.pending.push(tile);
      this.#take(tile);
    });
    on("gone", ({ monitor }) => {
      this.#hear();
      this.tiles.delete(monitor);
      this.#tell("gone", { monitor });
    });
    source.addEventListener("error", () => {
      if (source !== this.source) return;
      if (this.status === "live") this.#become("silent");
      this.#again();
    });
  }

  /** All tiles at once: those of monitors that vanished while nobody listened are dropped. */
  async #load() {
    if (this.pending) return;
    this.pending = [];
    try {
      const told = await this.api.get(this.overview);
      const newer = new Map(this.pending.map((tile) => [tile.monitor, tile]));
      this.tiles = new Map(told.tiles.map((tile) => [tile.monitor, newer.get(tile.monitor) ?? tile]));
      for (const [monitor, tile] of newer) this.tiles.set(monitor, tile);
      this.loaded = true;
      this.#hear(told.now);
      this.#tell("tiles", null);
    } catch (problem) {
      // It stays connected and will say when its store is back.
      this.storeless = problem.slug === "store-unreachable";
      if (this.storeless) this.#hear();
      else this.#again();
    } finally {
      this.pending = null;
    }
  }

  #take(tile) {
    this.tiles.set(tile.monitor, tile);
    this.#tell("tile", tile);
  }

  #hear(now) {
    // What was said a moment ago is taken for now: the clock shown may be late by the way here, never early.
    if (typeof now === "number") this.offset = now - Date.now() / 1000;
    this.heard = Date.now();
    if (this.storeless) {
      this.#become("lost");
      return;
    }
    this.heardAt = this.now();
    this.#become("live");
  }

  #again(delay = this.retry * (0.75 + Math.random() / 2)) {
    this.source?.close();
    this.source = null;
    if (delay) this.retry = Math.min(LAST_RETRY, this.retry * 2);
    clearTimeout(this.waiting);
    this.waiting = setTimeout(() => this.#connect(), delay * 1000);
  }

  #look() {
    const silence = (Date.now() - (this.heard ?? this.began)) / 1000;
    if (silence > PATIENCE) this.#become("lost");
    if (silence > PATIENCE && this.source && Date.now() - this.opened > PATIENCE * 1000) this.#again(0.1);
  }

  #become(status) {
    if (status === this.status || (this.status === "lost" && status === "silent")) return;
    this.status = status;
    this.#tell("state", status);
  }

  #tell(name, detail) {
    this.dispatchEvent(new CustomEvent(name, { detail }));
  }
}
