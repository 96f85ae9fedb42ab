// SPDX-License-Identifier: Apache-2.0
/** One VM: asks for all that its page shows, and keeps the list of its exits together. */

import {
  getExits,
  getFaults,
  getFlags,
  getHostEvents,
  getLedger,
  getSyndromes,
  getVm,
  getWholeGuest,
} from "../../api.js";
import { EXIT_KINDS } from "../../model/exit-words.js";
import { concerns, readEvents } from "../../model/host-events.js";
import { emptyList, nameOfExit, nameOfFault, withNewest } from "../../base/paged-list.js";
import { vmTitle } from "../../model/vm.js";
import { viewOf, viewOfGuest } from "../../state.js";
import { MOST_EVENTS } from "../chart-notes.js";
import { createFollower } from "../follow.js";
import { bringOlder } from "../older.js";
import { askCards } from "./cards.js";
import { SPLITS, createVmView } from "./view.js";

/** @typedef {import("../../model/types.js").Rates} Rates */
/** @typedef {import("../context.js").Request} Request */

/**
 * @typedef {object} Answer
 * @property {import("../../model/types.js").VmDetail} vm
 * @property {import("../../model/types.js").GuestDetail | null} guest that it is a life of, of all time
 * @property {Rates} faults as they are split
 * @property {{kind: string, rates: Rates | null}[]} exitRates one for each kind; null where there was none
 * @property {import("../../model/types.js").Flags} flags
 * @property {import("../../model/types.js").SyndromePage} syndromes as many as are wanted
 * @property {import("../../model/host-types.js").Ledger} ledger of this VM, and of its host
 * @property {import("../../model/host-events.js").ReadEvent[]} events of its host, as far as they concern this VM
 * @property {boolean} hasMoreEvents
 * @property {import("../../base/paged-list.js").PagedList<import("../../model/types.js").Exit>} exits
 * @property {import("../../base/paged-list.js").PagedList<import("../../model/types.js").Fault>} records
 * @property {import("./cards.js").CardAnswers} cards
 * @property {string} by
 * @property {import("../../model/host-types.js").Status} status
 * @property {Request} request
 */

const GUEST_FOR_MS = 15_000;
const NEWEST_PAGE = 15;
const OLDER_PAGE = 120;
/** Words that are asked for at first, and at most with one question. */
const WORDS = { first: 100, page: 1000 };

/**
 * @param {import("../context.js").Context} context
 * @param {string} id
 * @returns {import("../context.js").Page}
 */
export function createVmPage(context, id) {
  const view = createVmView(context, { goBack, openGuest, olderExits, olderFaults, moreWords });
  /** @type {Answer | null} */
  let answer = null;
  /** What the lists on show answer. */
  let shown = { exits: "", records: "" };
  const followers = createFollowers();
  let wantedWords = WORDS.first;
  /** @type {{id: string, at: number, answer: Answer["guest"]}} */
  let knownGuest = { id: "", at: 0, answer: null };

  /** @param {Event} event */
  function goBack(event) {
    if (event instanceof MouseEvent && (event.ctrlKey || event.metaKey || event.shiftKey)) return;
    event.preventDefault();
    context.open(viewOf(context.state.get(), null));
  }

  /** @param {Event} event */
  function openGuest(event) {
    if (!answer || (event instanceof MouseEvent && (event.ctrlKey || event.metaKey || event.shiftKey))) return;
    event.preventDefault();
    context.open(viewOfGuest(context.state.get(), answer.vm.guest));
  }

  // A VM's other lives seldom change: they are not asked for each second.
  /** @param {string} guest @param {Request} request */
  async function askGuest(guest, { now, signal }) {
    if (guest !== "" && (guest !== knownGuest.id || now - knownGuest.at > GUEST_FOR_MS))
      knownGuest = { id: guest, at: now, answer: await getWholeGuest(guest, signal) };
    return guest === "" ? null : knownGuest.answer;
  }

  /** @param {Request} request */
  async function load(request) {
    // Of a VM that there is not, one question is enough; and it shows the host, of which to ask.
    const host = (answer?.vm ?? (await getVm(id, request.range, request.stepMs, request.signal))).host;
    const [{ newestExits, newestFaults, ...found }, cards] = await Promise.all([
      ask(id, host, request, followers, wantedWords),
      askCards(id, request),
    ]);
    const [asked, before] = [questionsOf(request), answer ? questionsOf(answer.request) : null];
    const exits = answer && asked.exits === before?.exits ? answer.exits : emptyList();
    const records = answer && asked.records === before?.records ? answer.records : emptyList();
    answer = {
      ...found,
      guest: await askGuest(found.vm.guest, request),
      exits: withNewest(exits, newestExits, nameOfExit),
      records: withNewest(records, newestFaults, nameOfFault),
      cards,
      request,
      status: await request.status,
    };
    show();
  }

  // Older pages go under the list that their cursor is of: the next refresh puts what came since on top of it.
  async function olderExits() {
    const exits = await bringOlder({
      onShow: () => answer && { list: answer.exits, question: questionsOf(answer.request).exits },
      ask: (cursor) => getExits(id, rangeOnShow(), { kind: kindOnShow(), limit: OLDER_PAGE, cursor }),
      nameOf: nameOfExit,
    });
    if (!answer || !exits) return;
    answer = { ...answer, exits };
    view.showExits(answer, false);
  }

  async function olderFaults() {
    const records = await bringOlder({
      onShow: () => answer && { list: answer.records, question: questionsOf(answer.request).records },
      ask: (cursor) => getFaults(id, rangeOnShow(), { limit: OLDER_PAGE, cursor }),
      nameOf: nameOfFault,
    });
    if (!answer || !records) return;
    answer = { ...answer, records };
    view.showFaults(answer, false);
  }

  // Counts change, and with them the words' order: all that are listed are asked for with each refresh.
  async function moreWords() {
    wantedWords = wantedWords < WORDS.page ? WORDS.page : wantedWords + WORDS.page;
    const shown = answer;
    if (!shown) return;
    const syndromes = await askWords(id, shown.request.range, wantedWords);
    if (!answer || questionsOf(answer.request).records !== questionsOf(shown.request).records) return;
    answer = { ...answer, syndromes };
    view.show(answer);
  }

  const rangeOnShow = () => answer?.request.range ?? { from: 0, to: 0 };
  const kindOnShow = () => answer?.request.view.kind ?? "";

  function show() {
    if (!answer) return;
    const asked = questionsOf(answer.request);
    view.show(answer);
    view.showExits(answer, asked.exits !== shown.exits);
    view.showFaults(answer, asked.records !== shown.records);
    shown = asked;
  }

  return {
    root: view.root,
    load,
    show,
    showMessage: (next) => (answer ? undefined : view.showMessage(next)),
    title: () => (answer ? `${vmTitle(answer.vm)} – kvmfaults` : "kvmfaults"),
    destroy: view.destroy,
  };
}

// What the lists answer; where that changes, an extended list is no longer the same list.
/** @param {Request} request */
function questionsOf({ view }) {
  const records = [view.span, view.from, view.to].join(" ");
  return { records, exits: `${records} ${view.kind}` };
}

function createFollowers() {
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
async function ask(id, host, { view, range, stepMs, signal }, followers, wantedWords) {
  const by = SPLITS.some(([known]) => known === view.by) ? view.by : "access";
  const asked = getVm(id, range, stepMs, signal);
  const [vm, faults, exitRates, flags, syndromes, ledger, events, newestExits, newestFaults] =
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
    ]);
  return {
    ...{ vm, faults, exitRates, flags, syndromes, ledger },
    events: readEvents(events.items.filter((event) => concerns(event, vm.id))),
    hasMoreEvents: events.next_cursor !== null,
    ...{ newestExits, newestFaults, by },
  };
}

/**
 * @param {string} id
 * @param {import("../../model/types.js").Range} range
 * @param {number} wanted how many words
 * @param {AbortSignal} [signal]
 * @returns {Promise<import("../../model/types.js").SyndromePage>}
 */
async function askWords(id, range, wanted, signal) {
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
