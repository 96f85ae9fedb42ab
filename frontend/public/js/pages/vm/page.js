// SPDX-License-Identifier: Apache-2.0
/** One VM: asks for all that its page shows, and keeps the list of its exits together. */

import { getExits, getFaults, getVm, getWholeGuest } from "../../api.js";
import { emptyList, nameOfExit, nameOfFault, withNewest } from "../../base/paged-list.js";
import { vmTitle } from "../../model/vm.js";
import { viewOf, viewOfGuest } from "../../state.js";
import { recordVm, withdrawRecordRequest } from "../../vm-api.js";
import { bringOlder } from "../older.js";
import { askCards } from "./cards.js";
import { WORDS, ask, askWords, createFollowers } from "./questions.js";
import { createVmView } from "./view.js";

/** @typedef {import("../../model/types.js").Rates} Rates */
/** @typedef {import("../../model/types.js").RecordRequest} RecordRequest */
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
 * @property {readonly RecordRequest[]} requests to record every fault of it, newest first
 * @property {import("./cards.js").CardAnswers} cards
 * @property {string} by
 * @property {import("../../model/host-types.js").Status} status
 * @property {Request} request
 */

const GUEST_FOR_MS = 15_000;
const OLDER_PAGE = 120;

/**
 * @param {import("../context.js").Context} context
 * @param {string} id
 * @returns {import("../context.js").Page}
 */
export function createVmPage(context, id) {
  const recording = {
    record: (/** @type {number} */ seconds) => requested(() => recordVm(id, seconds)),
    withdraw: (/** @type {string} */ request) => requested(() => withdrawRecordRequest(id, request)),
  };
  const view = createVmView(context, { goBack, openGuest, olderExits, olderFaults, moreWords, recording });
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

  /** @param {() => Promise<RecordRequest>} ask */
  async function requested(ask) {
    try {
      const request = await ask();
      if (!answer) return "";
      answer = { ...answer, requests: [request, ...answer.requests.filter((one) => one.id !== request.id)] };
      view.showFaults(answer, false);
      return "";
    } catch (error) {
      return `It could not be asked: ${error instanceof Error ? error.message : error}.`;
    }
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
