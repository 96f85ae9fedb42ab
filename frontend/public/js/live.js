/** When to ask the server again: at each batch, each second, less often where answers are slow or fail. */

import { onBatches } from "./api.js";

const INTERVAL_MS = 1000;
const SLOWEST_MS = 10_000;
/** The share of time that asking may take: with 2, an answer that took 800 ms is asked for again 1.6 s later. */
const REST_FACTOR = 2;
/** Batches of many hosts come close together; one question serves them all. */
const BATCH_GAP_MS = 300;

/**
 * @param {object} options
 * @param {(signal: AbortSignal) => Promise<void>} options.work asks and shows; rejects where it could not
 * @param {(failure: unknown) => boolean} options.onFailure tells whether the same question may yet be answered
 * @param {() => boolean} options.isLive whether to ask again without being told to
 */
export function createRefresh({ work, onFailure, isLive }) {
  /** @type {AbortController | null} */
  let running = null;
  let [lastStart, pause, failures] = [0, INTERVAL_MS, 0];
  let isHopeless = false;

  async function run() {
    const mine = new AbortController();
    running?.abort();
    running = mine;
    lastStart = performance.now();
    try {
      await work(mine.signal);
      failures = 0;
    } catch (failure) {
      if (mine.signal.aborted) return;
      failures += 1;
      isHopeless = !onFailure(failure);
    } finally {
      if (running === mine) running = null;
    }
    const took = performance.now() - lastStart;
    pause = Math.min(SLOWEST_MS, Math.max(INTERVAL_MS * 2 ** Math.min(failures, 4), took * REST_FACTOR));
  }

  // A failed view is asked for again also where it is not live, so that it mends itself.
  function tick() {
    if (running || document.hidden || isHopeless || !(isLive() || failures > 0)) return;
    if (performance.now() - lastStart >= pause - 50) void run();
  }

  // Data has arrived: there is no reason to wait out the second, only to let slow answers rest.
  function batch() {
    if (running || document.hidden || !isLive() || failures > 0) return;
    if (performance.now() - lastStart >= (pause <= INTERVAL_MS ? BATCH_GAP_MS : pause)) void run();
  }

  setInterval(tick, INTERVAL_MS / 4);
  document.addEventListener("visibilitychange", () => !document.hidden && tick());
  onBatches(batch);
  return {
    /** Ask now, dropping a question that is still open. */
    now() {
      isHopeless = false;
      void run();
    },
  };
}
