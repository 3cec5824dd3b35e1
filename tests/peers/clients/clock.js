// Puts this process's clock wrong by CLOCK_OFF milliseconds, before a client is loaded: a real client on a wrong machine.
const off = Number(process.env.CLOCK_OFF || 0);
if (off) {
  const Real = Date;
  globalThis.Date = class extends Real {
    constructor(...given) {
      super(...(given.length ? given : [Real.now() + off]));
    }
    static now() {
      return Real.now() + off;
    }
  };
}
