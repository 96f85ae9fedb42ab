// SPDX-License-Identifier: Apache-2.0
/** What a VM's page asks at each refresh, its cards aside. */

import { getExits, getFaults, getFlags, getHostEvents, getLedger, getSyndromes, getVm } from "../../api.js";
import { EXIT_KINDS } from "../../model/exit-words.js";
import { concerns, readEvents } from "../../model/host-events.js";
import { getRecordRequests } from "../../vm-api.js";
import { MOST_EVENTS } from "../chart-notes.js";
import { createFollower } from "../follow.js";
import { SPLITS } from "./view.js";

/** @typedef {import("../context.js").Request} Request */

const NEWEST_PAGE = 15;
/** Words that are asked for at first, and at most with one question. */
export const WORDS = { first: 100, page: 1000 };

export function createFollowers() {
  return {
    faults: createFollower(),
    exits: new Map(EXIT_KINDS.map((kind) => [kind, createFollower()])),
  };
}

/**
 * @param {string} id
 * @param {string} host
 * @param {Request} request
 * @param {ReturnType<typeof createFollowers>} followers
 * @param {number} wantedWords
 */
export async function ask(id, host, { view, range, stepMs, signal }, followers, wantedWords) {
  const by = SPLITS.some(([known]) => known === view.by) ? view.by : "access";
  const asked = getVm(id, range, stepMs, signal);
  const [vm, faults, exitRates, flags, syndromes, ledger, events, newestExits, newestFaults, requests] =
    await Promise.all([
      asked,
      followers.faults(range, { metric: "faults", by, stepMs, vm: id }, signal),
      asked.then((vm) => askExits(vm, range, stepMs, signal, followers.exits)),
      getFlags(id, range, signal),
      askWords(id, range, wantedWords, signal),
      getLedger(range, { stepMs, vms: [id] }, signal),
      getHostEvents(range, { host, limit: MOST_EVENTS }, signal),
      getExits(id, range, { kind: view.kind, limit: NEWEST_PAGE }, signal),
      getFaults(id, range, { limit: NEWEST_PAGE }, signal),
      getRecordRequests(id, signal),
    ]);
  return {
    ...{ vm, faults, exitRates, flags, syndromes, ledger },
    events: readEvents(events.items.filter((event) => concerns(event, vm.id))),
    hasMoreEvents: events.next_cursor !== null,
    ...{ newestExits, newestFaults, requests: requests.items, by },
  };
}

/**
 * @param {string} id
 * @param {import("../../model/types.js").Range} range
 * @param {number} wanted how many words
 * @param {AbortSignal} [signal]
 * @returns {Promise<import("../../model/types.js").SyndromePage>}
 */
export async function askWords(id, range, wanted, signal) {
  const limit = Math.min(WORDS.page, wanted);
  let found = await getSyndromes(id, range, { limit }, signal);
  while (found.items.length < wanted && found.next_cursor !== null) {
    const next = await getSyndromes(id, range, { limit, cursor: found.next_cursor }, signal);
    found = { ...next, items: [...found.items, ...next.items] };
  }
  return found;
}

/**
 * Ask for the exits of each kind of which there are any.
 * @param {import("../../model/types.js").VmDetail} vm
 * @param {import("../../model/types.js").Range} range
 * @param {number} stepMs
 * @param {AbortSignal} signal
 * @param {ReadonlyMap<string, ReturnType<typeof createFollower>>} followers by kind
 */
function askExits(vm, range, stepMs, signal, followers) {
  return Promise.all(
    [...followers].map(async ([kind, follow]) => {
      const metric = /** @type {"memory_fault_exits"} */ (`${kind}_exits`);
      const rates = vm[metric] > 0 ? await follow(range, { metric, by: "vm", stepMs, vm: vm.id }, signal) : null;
      return { kind, rates };
    }),
  );
}
