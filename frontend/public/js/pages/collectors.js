/** The state of the collectors: a few words in the header, in full in a drawer. */

import { getHostEvents, getLedger, getStatus, now } from "../api.js";
import { overallHealth } from "../base/health.js";
import { readEvents } from "../base/host-events.js";
import { createStateChip } from "../panels/state-chip.js";
import { createStatusDrawer } from "../panels/status-drawer.js";

/** @typedef {import("../base/types.js").Range} Range */

const MOST_EVENTS = 500;
/** The accounts of batches are of all time; a short range asks for the fewest VMs beside them. */
const LEDGER_MS = 1000;

/** @param {() => void} onOpen what the drawer shows is to be asked for */
export function createCollectors(onOpen) {
  const drawer = createStatusDrawer(onOpen);
  const chip = createStateChip(drawer.open);
  return {
    drawer,
    chip,
    /** @param {Range} range @param {AbortSignal} signal */
    async load(range, signal) {
      const [status, detail] = await Promise.all([
        getStatus(signal),
        drawer.isOpen() ? askDetail(range, signal) : null,
      ]);
      chip.update(overallHealth(status));
      drawer.update(status, detail, now());
    },
  };
}

/** @param {Range} range @param {AbortSignal} signal @returns {Promise<import("../panels/status-drawer.js").Detail>} */
async function askDetail(range, signal) {
  const at = Math.floor(now() / LEDGER_MS) * LEDGER_MS;
  const [ledger, events] = await Promise.all([
    getLedger({ from: at, to: at + LEDGER_MS }, { stepMs: LEDGER_MS, vms: [] }, signal),
    getHostEvents(range, { limit: MOST_EVENTS }, signal),
  ]);
  return {
    batches: new Map(ledger.hosts.map(({ host, batches }) => [host, batches])),
    events: readEvents(events.items),
    hasMoreEvents: events.next_cursor !== null,
  };
}
