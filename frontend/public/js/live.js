// SPDX-License-Identifier: Apache-2.0
/** When to ask the server again: at news, each second, less often where answers are slow or fail. */

import { onBatches } from "./http.js";

const INTERVAL_MS = 1000;
const SLOWEST_MS = 10_000;
/** The share of time that asking may take: with 2, an answer that took 800 ms is asked for again 1.6 s later. */
const REST_FACTOR = 2;
/** News of many hosts come close together; one question serves them all. */
const NEWS_GAP_MS = 50;

/**
 * @param {object} options
 * @param {(signal: AbortSignal) => Promise<void>} options.work asks and shows; rejects where it could not
 * @param {(failure: unknown) => boolean} options.onFailure returns whether the same question may yet be answered
 * @param {() => boolean} options.isLive whether to ask again without an event
 */
export function createRefresh({ work, onFailure, isLive }) {
  /** @type {AbortController | null} */
  let running = null;
  let [lastStart, rest, failures] = [-Infinity, 0, 0];
  let isHopeless = false;
  /** Whether there is news that no question has been asked about yet. */
  let hasNews = false;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  let waiting;

  async function run() {
    hasNews = false;
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
    rest = Math.min(SLOWEST_MS, (performance.now() - lastStart) * REST_FACTOR);
    askForNews();
  }

  // A failed view is asked for again also where it is not live, so that it mends itself.
  function tick() {
    if (running || document.hidden || isHopeless || !(isLive() || failures > 0)) return;
    const pause = Math.min(SLOWEST_MS, Math.max(INTERVAL_MS * 2 ** Math.min(failures, 4), rest));
    if (performance.now() - lastStart >= pause - 50) void run();
  }

  // There is no reason to wait out the second, only to let slow answers rest. What comes meanwhile is kept in
  // mind: the next batch may be an interval away.
  function askForNews() {
    clearTimeout(waiting);
    if (!hasNews || running || document.hidden || !isLive() || failures > 0) return;
    const left = lastStart + Math.max(NEWS_GAP_MS, rest) - performance.now();
    if (left <= 0) void run();
    else waiting = setTimeout(askForNews, left);
  }

  setInterval(tick, INTERVAL_MS / 4);
  document.addEventListener("visibilitychange", () => {
    tick();
    askForNews();
  });
  onBatches(() => {
    hasNews = true;
    askForNews();
  });
  return {
    /** Ask now, dropping a question that is still open. */
    now() {
      isHopeless = false;
      void run();
    },
  };
}
