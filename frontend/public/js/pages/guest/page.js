// SPDX-License-Identifier: Apache-2.0
/** One guest: asks for what all of its VMs did, whichever host they ran on. */

import { getGuest, getGuestFlags, getGuestSyndromes, getHostEvents, getLedger } from "../../api.js";
import { EXIT_KINDS } from "../../model/exit-words.js";
import { readEvents } from "../../model/host-events.js";
import { guestTitle } from "../../panels/guest-header.js";
import { viewOf } from "../../state.js";
import { MOST_EVENTS } from "../chart-notes.js";
import { createFollower } from "../follow.js";
import { GUEST_SPLITS, createGuestView } from "./view.js";

/** @typedef {import("../../model/types.js").Rates} Rates */
/** @typedef {import("../context.js").Request} Request */

/**
 * @typedef {object} Answer
 * @property {import("../../model/types.js").GuestDetail} guest
 * @property {Rates} faults as they are split
 * @property {{kind: string, rates: Rates | null}[]} exitRates one for each kind; null where there was none
 * @property {import("../../model/types.js").Flags} flags
 * @property {import("../../model/types.js").SyndromePage} syndromes
 * @property {import("../../model/host-types.js").Ledger} ledger of its VMs, and of their hosts
 * @property {import("../../model/host-events.js").ReadEvent[]} events of its hosts, as far as they concern its VMs
 * @property {boolean} hasMoreEvents
 * @property {string} by
 * @property {Request} request
 */

/** Words that are asked for at first, and at most with one question. */
const WORDS = { first: 100, page: 1000 };

/**
 * @param {import("../context.js").Context} context
 * @param {string} id
 * @returns {import("../context.js").Page}
 */
export function createGuestPage(context, id) {
  const view = createGuestView(context, { goBack, moreWords });
  /** @type {Answer | null} */
  let answer = null;
  const followers = createFollowers();
  let wantedWords = WORDS.first;

  /** @param {Event} event */
  function goBack(event) {
    if (event instanceof MouseEvent && (event.ctrlKey || event.metaKey || event.shiftKey)) return;
    event.preventDefault();
    context.open(viewOf(context.state.get(), null));
  }

  /** @param {Request} request */
  async function load(request) {
    answer = await ask(id, request, followers, wantedWords);
    view.show(answer);
  }

  async function moreWords() {
    wantedWords = WORDS.page;
    context.refresh();
  }

  return {
    root: view.root,
    load,
    show: () => (answer ? view.show(answer) : undefined),
    showMessage: (next) => (answer ? undefined : view.showMessage(next)),
    title: () => (answer ? `${guestTitle(answer.guest)} – kvmfaults` : "kvmfaults"),
    destroy: view.destroy,
  };
}

function createFollowers() {
  return {
    faults: createFollower(),
    exits: new Map(EXIT_KINDS.map((kind) => [kind, createFollower()])),
  };
}

/**
 * @param {string} id
 * @param {Request} request
 * @param {ReturnType<typeof createFollowers>} followers
 * @param {number} wantedWords
 * @returns {Promise<Answer>}
 */
async function ask(id, request, followers, wantedWords) {
  const { view, range, stepMs, signal } = request;
  const by = GUEST_SPLITS.some(([known]) => known === view.by) ? view.by : "vm";
  const asked = getGuest(id, range, stepMs, signal);
  const [guest, faults, exitRates, flags, syndromes, ledger, events] = await Promise.all([
    asked,
    followers.faults(range, { metric: "faults", by, stepMs, guest: id }, signal),
    asked.then((guest) => askExits(guest, request, followers.exits)),
    getGuestFlags(id, range, signal),
    getGuestSyndromes(id, range, { limit: wantedWords }, signal),
    getLedger(range, { stepMs, vms: [], guest: id }, signal),
    asked.then((guest) => askEvents(guest, request)),
  ]);
  return { ...{ guest, faults, exitRates, flags, syndromes, ledger, by, request }, ...events };
}

/**
 * Ask for the exits of each kind of which there are any.
 * @param {import("../../model/types.js").GuestDetail} guest
 * @param {Request} request
 * @param {ReadonlyMap<string, ReturnType<typeof createFollower>>} followers by kind
 */
function askExits(guest, { range, stepMs, signal }, followers) {
  return Promise.all(
    [...followers].map(async ([kind, follow]) => {
      const metric = /** @type {"memory_fault_exits"} */ (`${kind}_exits`);
      const what = { metric, by: "guest", stepMs, guest: guest.id };
      return { kind, rates: guest[metric] > 0 ? await follow(range, what, signal) : null };
    }),
  );
}

/**
 * Ask what happened to the hosts of a guest, as far as it concerns the guest's VMs.
 * @param {import("../../model/types.js").GuestDetail} guest
 * @param {Request} request
 */
async function askEvents({ vms }, { range, signal }) {
  const ids = new Set(vms.map((vm) => vm.id));
  const hosts = [...new Set(vms.map((vm) => vm.host))];
  const pages = await Promise.all(hosts.map((host) => getHostEvents(range, { host, limit: MOST_EVENTS }, signal)));
  const events = pages.flatMap((page) => readEvents(page.items.filter(({ vm }) => vm === null || ids.has(vm))));
  return {
    events: events.sort((a, b) => a.time - b.time),
    hasMoreEvents: pages.some((page) => page.next_cursor !== null),
  };
}
