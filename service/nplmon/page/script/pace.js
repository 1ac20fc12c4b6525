/** Pace: does something again whenever it is asked for, but never twice at once and never too often. */

/** `act` may be asynchronous; between two beginnings lie at least `seconds`. What is asked for meanwhile is done once. */
export class Pace {
  constructor(act, seconds) {
    Object.assign(this, { act, seconds, wanted: false, busy: false, timer: null, begun: -Infinity });
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
    this.begun = performance.now();
    try {
      await this.act();
    } finally {
      this.busy = false;
      this.#look();
    }
  }
}
