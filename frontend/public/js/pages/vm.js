/** One VM: asks for all that its page shows, and keeps the list of its exits together. */

import {
  getExits,
  getFaults,
  getFlags,
  getHostEvents,
  getLedger,
  getSyndromes,
  getVm,
} from "../api.js";
import { EXIT_KINDS } from "../base/exit-words.js";
import { readEvents, vmOf } from "../base/host-events.js";
import { emptyList, nameOfExit, nameOfFault, withNewest, withOlder } from "../base/paged-list.js";
import { vmTitle } from "../base/vm.js";
import { viewOf } from "../state.js";
import { createFollower } from "./follow.js";
import { SPLITS, createVmView } from "./vm-view.js";

/** @typedef {import("../base/types.js").Rates} Rates */
/** @typedef {import("./context.js").Request} Request */

/**
 * @typedef {object} Answer
 * @property {import("../base/types.js").VmDetail} vm
 * @property {Rates} faults as they are split
 * @property {{kind: string, rates: Rates | null}[]} exitRates one for each kind; null where there was none
 * @property {import("../base/types.js").Flags} flags
 * @property {import("../base/types.js").Syndrome[]} syndromes
 * @property {import("../base/host-types.js").Ledger} ledger of this VM, and of its host
 * @property {import("../base/host-events.js").ReadEvent[]} events of its host, as far as they concern this VM
 * @property {import("../base/paged-list.js").PagedList<import("../base/types.js").Exit>} exits
 * @property {import("../base/paged-list.js").PagedList<import("../base/types.js").Fault>} records
 * @property {string} by
 * @property {Request} request
 */

const NEWEST_PAGE = 15;
const OLDER_PAGE = 120;
const MOST_EVENTS = 500;

/**
 * @param {import("./context.js").Context} context
 * @param {string} id
 * @returns {import("./context.js").Page}
 */
export function createVmPage(context, id) {
  const view = createVmView(context, { goBack, olderExits, olderFaults });
  /** @type {Answer | null} */
  let answer = null;
  /** What the lists on show answer. */
  let shown = { exits: "", records: "" };
  const followers = createFollowers();

  /** @param {Event} event */
  function goBack(event) {
    if (event instanceof MouseEvent && (event.ctrlKey || event.metaKey || event.shiftKey)) return;
    event.preventDefault();
    context.open(viewOf(context.state.get(), null));
  }

  /** @param {Request} request */
  async function load(request) {
    // Of a VM that there is not, one question is enough; and it tells the host, of which to ask.
    const host = (answer?.vm ?? (await getVm(id, request.range, request.stepMs, request.signal))).host;
    const { newestExits, newestFaults, ...found } = await ask(id, host, request, followers);
    const [asked, before] = [questionsOf(request), answer ? questionsOf(answer.request) : null];
    const exits = answer && asked.exits === before?.exits ? answer.exits : emptyList();
    const records = answer && asked.records === before?.records ? answer.records : emptyList();
    answer = {
      ...found,
      exits: withNewest(exits, newestExits, nameOfExit),
      records: withNewest(records, newestFaults, nameOfFault),
      request,
    };
    show();
  }

  // Older pages go under the list that their cursor is of: the next refresh puts what came since on top of it.
  async function olderExits() {
    if (!answer?.exits.next) return;
    const { request, exits } = answer;
    const about = { kind: request.view.kind, limit: OLDER_PAGE, cursor: exits.next };
    const page = await getExits(id, request.range, about);
    answer = { ...answer, exits: withOlder(exits, page, nameOfExit) };
    view.showExits(answer, false);
  }

  async function olderFaults() {
    if (!answer?.records.next) return;
    const { request, records } = answer;
    const page = await getFaults(id, request.range, { limit: OLDER_PAGE, cursor: records.next });
    answer = { ...answer, records: withOlder(records, page, nameOfFault) };
    view.showFaults(answer, false);
  }

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
    tell: (next) => (answer ? undefined : view.tell(next)),
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
 */
async function ask(id, host, { view, range, stepMs, signal }, followers) {
  const by = SPLITS.some(([known]) => known === view.by) ? view.by : "access";
  const asked = getVm(id, range, stepMs, signal);
  const [vm, faults, exitRates, flags, syndromes, ledger, events, newestExits, newestFaults] =
    await Promise.all([
      asked,
      followers.faults(range, { metric: "faults", by, stepMs, vm: id }, signal),
      asked.then((vm) => askExits(vm, range, stepMs, signal, followers.exits)),
      getFlags(id, range, signal),
      getSyndromes(id, range, signal),
      getLedger(range, { stepMs, vms: [id] }, signal),
      getHostEvents(range, { host, limit: MOST_EVENTS }, signal),
      getExits(id, range, { kind: view.kind, limit: NEWEST_PAGE }, signal),
      getFaults(id, range, { limit: NEWEST_PAGE }, signal),
    ]);
  // The collector names a VM as this: what it says of others is not told here.
  const concerns = (/** @type {string} */ name) => ["", vm.name || vm.reported_id].includes(name);
  return {
    ...{ vm, faults, exitRates, flags, syndromes: syndromes.items, ledger },
    events: readEvents(events.items.filter((event) => concerns(vmOf(event)))),
    ...{ newestExits, newestFaults, by },
  };
}

/**
 * Ask for the exits of each kind of which there are any.
 * @param {import("../base/types.js").VmDetail} vm
 * @param {import("../base/types.js").Range} range
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
