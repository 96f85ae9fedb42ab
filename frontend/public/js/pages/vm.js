/** One VM: its rates on one axis of time, and what its faults and exits were. */

import { getExits, getFlags, getRates, getSyndromes, getVm } from "../api.js";
import { stickyPlaces } from "../base/color.js";
import { el, setShown } from "../base/dom.js";
import { withNewest, withOlder } from "../base/exit-list.js";
import { vmTitle } from "../base/vm.js";
import { isUncovered } from "../charts/gaps.js";
import { biggestKeys, namedLines } from "../charts/series.js";
import { createBreakdown } from "../panels/breakdown.js";
import { createExits } from "../panels/exits.js";
import { createFigures } from "../panels/figures.js";
import { createMessage } from "../panels/message.js";
import { createSyndromes } from "../panels/syndromes.js";
import { createVmHeader } from "../panels/vm-header.js";
import { viewOf } from "../state.js";
import { emptyMessage, uncoveredMessage } from "./messages.js";
import { createRateChart } from "./rate-chart.js";
import { createReasons, createVcpus, exitLines, figuresOf, reasonRows, vcpuRows } from "./vm-figures.js";

/** @typedef {import("../base/types.js").VmDetail} VmDetail */
/** @typedef {import("../base/types.js").Rates} Rates */
/** @typedef {import("./context.js").Request} Request */

/**
 * @typedef {object} Answer
 * @property {VmDetail} vm
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

const MOST_LINES = 12;
const EXITS_PAGE = 30;

/** @type {[string, string][]} */
const SPLITS = [["access", "access"], ["vcpu", "vCPU"], ["flag", "flag"], ["level", "level"]];

/**
 * @param {import("./context.js").Context} context
 * @param {string} id
 * @returns {import("./context.js").Page}
 */
export function createVmPage(context, id) {
  const { state } = context;
  const panels = createPanels(context, { goBack, loadMore });
  const places = stickyPlaces();
  /** @type {Answer | null} */
  let answer = null;
  let question = "";

  /** @param {Event} event */
  function goBack(event) {
    if (event instanceof MouseEvent && (event.ctrlKey || event.metaKey || event.shiftKey)) return;
    event.preventDefault();
    context.open(viewOf(state.get(), null));
  }

  /** @param {Request} request */
  async function load(request) {
    const { view, range, stepMs, signal } = request;
    const by = SPLITS.some(([known]) => known === view.by) ? view.by : "access";
    const rates = (/** @type {string} */ metric, /** @type {string} */ split) =>
      getRates(range, { metric, by: split, stepMs, vm: id }, signal);
    const [vm, faults, whole, memoryFaults, bareErrors, flags, syndromes, page] = await Promise.all([
      getVm(id, range, signal), rates("faults", by), rates("faults", "vm"), rates("memory_fault_exits", "vm"), rates("bare_error_exits", "vm"),
      getFlags(id, range, signal), getSyndromes(id, range, signal),
      getExits(id, range, { kind: view.kind, limit: EXITS_PAGE }, signal),
    ]);
    const known = answer && questionOf(request) === question ? answer.exits : { items: [], next: null, isExtended: false };
    const exits = withNewest(known, page);
    answer = { vm, faults, whole, memoryFaults, bareErrors, flags, syndromes: syndromes.items, exits, by, request };
    show();
  }

  async function loadMore() {
    if (!answer?.exits.next) return;
    const { request, exits } = answer;
    const about = { kind: request.view.kind, limit: EXITS_PAGE * 4, cursor: exits.next };
    const page = await getExits(id, request.range, about);
    // Under the list that its cursor is of: the next refresh puts what came since on top of it.
    answer = { ...answer, exits: withOlder(exits, page) };
    panels.showExits(answer, false);
  }

  function show() {
    if (!answer) return;
    const next = questionOf(answer.request);
    panels.show(answer, places(biggestKeys(answer.faults.series, MOST_LINES)));
    panels.showExits(answer, next !== question);
    question = next;
  }

  return {
    root: panels.root, load, show,
    tell: (next) => (answer ? undefined : panels.message.update(next)),
    title: () => (answer ? `${vmTitle(answer.vm)} – kvmfaults` : "kvmfaults"),
    destroy: panels.destroy,
  };
}

// What the list of exits answers; where that changes, a list that was extended is no longer the same list.
/** @param {Request} request */
function questionOf({ view }) {
  return [view.kind, view.span, view.from, view.to].join(" ");
}

/**
 * @param {import("./context.js").Context} context
 * @param {{goBack: (event: Event) => void, loadMore: () => Promise<void>}} actions
 */
function createPanels(context, { goBack, loadMore }) {
  const { state } = context;
  const header = createVmHeader(goBack);
  const figures = createFigures();
  const message = createMessage();
  const faults = createRateChart(context, {
    id: "faults", title: "Guest faults", splits: SPLITS, onCursor: (time) => exitRates.setCursor(time),
  });
  const exitRates = createRateChart(context, {
    id: "exit-rates", title: "Exits on a memory fault", onCursor: (time) => faults.setCursor(time),
  });
  const breakdowns = createFlagPanels();
  const syndromes = createSyndromes();
  const exits = createExits({ onKind: (kind) => state.set({ kind }, { replace: true }), onMore: () => void loadMore() });
  const reasons = createReasons();
  const vcpus = createVcpus();
  const content = el("div", { class: "page-content" }, header.root,
    el("section", { class: "card figures-card", "aria-label": "Key figures" }, figures.root), message.root,
    faults.root, exitRates.root, breakdowns.root, el("div", { class: "columns" }, reasons.root, vcpus.root),
    syndromes.root, exits.root);
  const early = createMessage();
  content.hidden = true;

  /** @param {Answer} answer @param {ReadonlyMap<string, number>} places */
  function show(answer, places) {
    const { vm, flags, request, by } = answer;
    setShown(content, true);
    early.update(null);
    header.update(vm, request.now, context.hrefOf(viewOf(state.get(), null)));
    figures.update(figuresOf(answer));
    const lines = namedLines(answer.faults.series, places, (series) => series.label);
    faults.update({ rates: answer.faults, lines, stacked: by !== "flag", now: request.now, message: "" }, by);
    const exitsView = { rates: answer.memoryFaults, lines: exitLines(answer), stacked: true, now: request.now, message: "" };
    exitRates.update(exitsView, "");
    breakdowns.update(flags);
    syndromes.update(answer.syndromes, flags.total);
    reasons.update(reasonRows(vm));
    vcpus.update(vcpuRows(vm));
    message.update(messageOf(answer));
  }

  /** @param {Answer} answer */
  function messageOf({ vm, faults: rates, request }) {
    if (isUncovered(rates.coverage, request.range)) return uncoveredMessage(request, state);
    const isQuiet = vm.faults + vm.memory_fault_exits + vm.bare_error_exits === 0;
    return isQuiet ? emptyMessage("This VM has not faulted in this range.", request, state) : null;
  }

  return {
    root: el("div", { class: "page vm" }, early.root, content),
    message: early,
    show,
    /** @param {Answer} answer @param {boolean} isOther */
    showExits({ exits: { items, next }, request }, isOther) {
      exits.update(items, { kind: request.view.kind, hasMore: next !== null, isOther });
    },
    destroy() {
      faults.destroy();
      exitRates.destroy();
    },
  };
}

function createFlagPanels() {
  const hardware = createBreakdown({
    title: "Hardware", note: "what the syndrome says", empty: "No syndrome was shown in this range.",
  });
  const software = createBreakdown({
    title: "Software", note: "what KVM knew of the page", empty: "No software context in this range.",
  });
  const outcomes = createBreakdown({
    title: "Outcome", note: "how faults ended, where the kernel shows it", empty: "No outcome was shown in this range.",
  });
  const root = el("section", { class: "card", id: "flags", "aria-labelledby": "flags-title" },
    el("header", { class: "card-head" }, el("h2", { id: "flags-title" }, "Flags"),
      el("span", { class: "unit" }, "share of the guest faults in the range; a fault has any number of flags")),
    el("div", { class: "breakdowns" }, hardware.root, el("div", { class: "stack" }, software.root, outcomes.root)));
  return {
    root,
    /** @param {import("../base/types.js").Flags} flags */
    update({ items, outcomes: ended, total }) {
      hardware.update(items.filter((item) => item.side === "hardware"), total);
      software.update(items.filter((item) => item.side === "software"), total);
      outcomes.update(ended, total);
    },
  };
}
