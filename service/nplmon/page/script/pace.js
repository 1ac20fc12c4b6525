/** Pace: does something again whenever it is asked for, but never twice at once and never too often. */

/** How many times as long as it takes lies between two beginnings, so that a slow service is not asked all the time. */
const REST = 3;

/** `act` may be asynchronous; between two beginnings lie at least `seconds`. What is asked for meanwhile is done once. */
export class Pace {
  constructor(act, seconds) {
    Object.assign(this, { act, seconds, least: seconds, wanted: false, busy: false, timer: null, begun: -Infinity });
  }

  /** Ask; `now` does not wait for the time to pass. */
  ask({ now = false } = {}) {
    this.wanted = true;
    if (now) this.begun = -Infinity;
    this.#look();
  }

  close() {
    this.closed = true;
    clearTimeout(this.timer);
  }

  #look() {
    if (this.closed || !this.wanted || this.busy) return;
    const wait = this.begun + this.seconds * 1000 - performance.now();
    clearTimeout(this.timer);
    if (wait > 0) {
      this.timer = setTimeout(() => this.#look(), wait);
      return;
    }
    this.#act();
  }

  async #act() {
    this.wanted = false;
    this.busy = true;
    const begun = performance.now();
    this.begun = begun;
    try {
      await this.act();
    } finally {
      this.busy = false;
      this.seconds = Math.max(this.least, (REST * (performance.now() - begun)) / 1000);
      this.#look();
    }
  }
}
