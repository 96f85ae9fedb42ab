/** One VM: asks for all that its page shows, and keeps the list of its exits together. */

import { getExits, getFlags, getRates, getSyndromes, getVm } from "../api.js";
import { withNewest, withOlder } from "../base/exit-list.js";
import { vmTitle } from "../base/vm.js";
import { viewOf } from "../state.js";
import { SPLITS, createVmView } from "./vm-view.js";

/** @typedef {import("../base/types.js").Rates} Rates */
/** @typedef {import("./context.js").Request} Request */

/**
 * @typedef {object} Answer
 * @property {import("../base/types.js").VmDetail} vm
 * @property {Rates} faults as they are split
 * @property {Rates} whole faults in one series
 * @property {Rates} memoryFaults
 * @property {Rates} bareErrors
 * @property {import("../base/types.js").Flags} flags
 * @property {import("../base/types.js").Syndrome[]} syndromes
 * @property {import("../base/exit-list.js").ExitList} exits
 * @property {string} by
 * @property {Request} request
 */

const EXITS_PAGE = 30;
const OLDER_EXITS_PAGE = 120;

/**
 * @param {import("./context.js").Context} context
 * @param {string} id
 * @returns {import("./context.js").Page}
 */
export function createVmPage(context, id) {
  const view = createVmView(context, { goBack, loadMore });
  /** @type {Answer | null} */
  let answer = null;
  let shownQuestion = "";

  /** @param {Event} event */
  function goBack(event) {
    if (event instanceof MouseEvent && (event.ctrlKey || event.metaKey || event.shiftKey)) return;
    event.preventDefault();
    context.open(viewOf(context.state.get(), null));
  }

  /** @param {Request} request */
  async function load(request) {
    // Of a VM that there is not, one question is enough.
    if (!answer) await getVm(id, request.range, request.signal);
    const found = await ask(id, request);
    const known = answer && questionOf(request) === questionOf(answer.request) ? answer.exits : NO_EXITS;
    answer = { ...found, exits: withNewest(known, found.newestExits), request };
    show();
  }

  async function loadMore() {
    if (!answer?.exits.next) return;
    const { request, exits } = answer;
    const about = { kind: request.view.kind, limit: OLDER_EXITS_PAGE, cursor: exits.next };
    const page = await getExits(id, request.range, about);
    // Under the list that its cursor is of: the next refresh puts what came since on top of it.
    answer = { ...answer, exits: withOlder(exits, page) };
    view.showExits(answer, false);
  }

  function show() {
    if (!answer) return;
    const question = questionOf(answer.request);
    view.show(answer);
    view.showExits(answer, question !== shownQuestion);
    shownQuestion = question;
  }

  return {
    root: view.root,
    load,
    show,
    tell: (next) => (answer ? undefined : view.tell(next)),
    title: () => (answer ? `${vmTitle(answer.vm)} – kvmfaults` : "kvmfaults"),
    destroy: view.destroy,
  };
}

/** @type {import("../base/exit-list.js").ExitList} */
const NO_EXITS = { items: [], next: null, isExtended: false };

// What the list of exits answers; where that changes, an extended list is no longer the same list.
/** @param {Request} request */
function questionOf({ view }) {
  return [view.kind, view.span, view.from, view.to].join(" ");
}

/** @param {string} id @param {Request} request */
async function ask(id, { view, range, stepMs, signal }) {
  const by = SPLITS.some(([known]) => known === view.by) ? view.by : "access";
  const rates = (/** @type {string} */ metric, /** @type {string} */ split) =>
    getRates(range, { metric, by: split, stepMs, vm: id }, signal);
  const [vm, faults, whole, memoryFaults, bareErrors, flags, syndromes, newestExits] = await Promise.all([
    getVm(id, range, signal),
    rates("faults", by),
    rates("faults", "vm"),
    rates("memory_fault_exits", "vm"),
    rates("bare_error_exits", "vm"),
    getFlags(id, range, signal),
    getSyndromes(id, range, signal),
    getExits(id, range, { kind: view.kind, limit: EXITS_PAGE }, signal),
  ]);
  return { vm, faults, whole, memoryFaults, bareErrors, flags, syndromes: syndromes.items, newestExits, by };
}
