// SPDX-License-Identifier: Apache-2.0
/** The state of the collectors: a few words in the header, in full in a drawer. */

import { getHostEvents, getHostLosses, getStatus, getStorage } from "../api.js";
import { now } from "../http.js";
import { acknowledgeLosses, newLosses } from "../model/acknowledged.js";
import { overallHealth } from "../model/health.js";
import { readEvents } from "../model/host-events.js";
import { timeOf } from "./newest.js";
import { createStateChip } from "../panels/hosts/state-chip.js";
import { createStatusDrawer } from "../panels/hosts/status-drawer.js";

/** @typedef {import("../model/types.js").Range} Range */
/** @typedef {import("../model/host-types.js").Status} Status */

const MOST_EVENTS = 500;
const STATUS_EVERY_MS = 2000;
/** The accounts of batches are of all time, whatever the range. */
const LEDGER_MS = 1000;

/**
 * @param {() => void} onOpen what the drawer shows is to be asked for
 * @param {() => void} onLogOut
 * @param {(range: Range) => void} onRange the time of a recording is to be shown
 */
export function createCollectors(onOpen, onLogOut, onRange) {
  const onShow = async (/** @type {import("../model/host-types.js").Host} */ host) => onRange(await timeOf(host));
  const drawer = createStatusDrawer({ onOpen, onAcknowledge: acknowledge, onLogOut, onShow });
  const chip = createStateChip(drawer.open);
  /** @type {Status | null} */
  let shown = null;
  let askedAt = -Infinity;

  function showChip() {
    if (shown) chip.update(overallHealth(shown, newLosses(shown.hosts)));
  }

  function acknowledge() {
    if (!shown) return;
    acknowledgeLosses(shown.hosts);
    showChip();
    onOpen();
  }

  return {
    drawer,
    chip,
    /**
     * @param {Range} range
     * @param {AbortSignal} signal
     * @param {Promise<{status: Status}>} [asked] what the status comes with, where the page asks for that
     */
    async load(range, signal, asked) {
      // Counts change each second, hosts do not.
      const isFresh = !asked && shown !== null && !drawer.isOpen() && now() - askedAt < STATUS_EVERY_MS;
      const [status, detail] = await Promise.all([
        isFresh && shown ? shown : statusOf(asked, signal),
        drawer.isOpen() ? askDetail(range, signal) : null,
      ]);
      if (!isFresh) askedAt = now();
      shown = status;
      showChip();
      drawer.update(status, detail, now());
      return status;
    },
  };
}

/** @param {Promise<{status: Status}> | undefined} asked @param {AbortSignal} signal */
async function statusOf(asked, signal) {
  try {
    if (asked) return (await asked).status;
  } catch (failure) {
    // What else was asked for may be why: a filter that is refused, for instance.
    if (signal.aborted) throw failure;
  }
  return getStatus(signal);
}

/** @param {Range} range @param {AbortSignal} signal @returns {Promise<import("../panels/hosts/status-drawer.js").Detail>} */
async function askDetail(range, signal) {
  const at = Math.floor(now() / LEDGER_MS) * LEDGER_MS;
  const [ledger, events, storage] = await Promise.all([
    getHostLosses({ from: at, to: at + LEDGER_MS }, LEDGER_MS, signal),
    getHostEvents(range, { limit: MOST_EVENTS }, signal),
    getStorage(signal),
  ]);
  return {
    batches: new Map(ledger.hosts.map(({ host, batches }) => [host, batches])),
    events: readEvents(events.items),
    hasMoreEvents: events.next_cursor !== null,
    storage,
  };
}
