// SPDX-License-Identifier: Apache-2.0
/** What happened to hosts beside what was counted: losses and events. Asked for where the server has some anew. */

import { getHostEvents, getHostLosses } from "../api.js";
import { readEvents } from "../model/host-events.js";
import { MOST_EVENTS } from "./chart-notes.js";

/** @typedef {import("./context.js").Request} Request */
/** @typedef {{ledger: import("../model/host-types.js").Ledger, events: import("../model/host-events.js").ReadEvent[], hasMoreEvents: boolean}} HostNews */

export function createHostNews() {
  let asked = "";
  /** @type {HostNews} */
  let known = {
    ledger: { step_ms: 1000, times_ms: [], vms: [], others: null, hosts: [], kept_from_ms: null, recordings_left_out: 0,
      warnings: [], warnings_left_out: 0, as_of: { hosts: [], left_out: 0 } },
    events: [],
    hasMoreEvents: false,
  };
  /** @param {Request} request */
  return async ({ view, range, stepMs, status, signal }) => {
    const { news } = await status;
    // What was lost in a second stays so: a range that moves on needs no new answer.
    const question = JSON.stringify([view.span, view.from, view.to, stepMs, news]);
    if (question === asked) return known;
    const [ledger, events] = await Promise.all([
      getHostLosses(range, stepMs, signal),
      getHostEvents(range, { limit: MOST_EVENTS }, signal),
    ]);
    [asked, known] = [question, { ledger, events: readEvents(events.items), hasMoreEvents: events.next_cursor !== null }];
    return known;
  };
}
