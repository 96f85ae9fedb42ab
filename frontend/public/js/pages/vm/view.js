// SPDX-License-Identifier: Apache-2.0
/** The panels of a VM's page: what is where, and which part of the answers each one shows. */

import { stickyPlaces } from "../../base/color.js";
import { el, setShown } from "../../base/dom.js";
import { guestMarks } from "../../model/guest-events.js";
import { exitsOf } from "../../model/exit-words.js";
import { plural } from "../../base/format.js";
import { isUncovered } from "../../charts/gaps.js";
import { biggestKeys, namedLines } from "../../charts/series.js";
import { createExits } from "../../panels/tables/exits.js";
import { createFaults } from "../../panels/tables/faults.js";
import { createFigures } from "../../panels/figures.js";
import { createFlags } from "../../panels/flags.js";
import { createLedger } from "../../panels/ledger.js";
import { createLives } from "../../panels/tables/lives.js";
import { createMessage } from "../../panels/message.js";
import { createSyndromes } from "../../panels/tables/syndromes.js";
import { createVmHeader } from "../../panels/vm-header.js";
import { viewOf, viewOfGuest } from "../../state.js";
import { leftOutNotes } from "../chart-notes.js";
import { gapsOf } from "../exactness.js";
import { createReasons, createVcpus, moreVcpus, reasonRows, vcpuRows } from "../exits-and-vcpus.js";
import { aheadMessage, emptyMessage, lifeElsewhere, uncoveredMessage } from "../messages.js";
import { createRateCharts } from "../rate-chart.js";
import { createCards } from "./cards.js";
import { knowsCauses } from "./causes-card.js";
import { namesOf } from "./memslots-card.js";
import { exitLines, figuresOf } from "./figures.js";

/** @typedef {import("./page.js").Answer} Answer */
/** @typedef {import("../context.js").Context} Context */

/**
 * What the chart of faults can be split by.
 * @type {[string, string][]}
 */
export const SPLITS = [
  ["access", "access"],
  ["vcpu", "vCPU"],
  ["flag", "flag"],
  ["level", "level"],
];

const MOST_LINES = 12;
const NO_FAULTS =
  "No guest fault was seen in this range: there is nothing to show of their rates, ledger, flags and words, " +
  "and of single faults.";

/**
 * @param {Context} context
 * @param {object} actions
 * @param {(event: Event) => void} actions.goBack
 * @param {(event: Event) => void} actions.openGuest
 * @param {() => Promise<void>} actions.olderExits
 * @param {() => Promise<void>} actions.olderFaults
 * @param {() => Promise<void>} actions.moreWords
 * @param {Parameters<typeof createFaults>[1]} actions.recording
 */
export function createVmView(context, { goBack, openGuest, olderExits, olderFaults, moreWords, recording }) {
  const { state } = context;
  const header = createVmHeader(goBack, openGuest);
  const lives = createLives({
    title: "All VMs of its guest",
    note: "of all time",
    onOpen: (vm) => context.open(viewOf(state.get(), vm)),
  });
  const cards = createCards(context);
  const charts = createCharts(context);
  const details = createDetails(moreWords);
  const exits = createExits({
    onKind: (kind) => state.set({ kind }, { replace: true }),
    onMore: olderExits,
  });
  const faults = createFaults(olderFaults, recording);
  const ofFaults = [...charts.ofFaults, ...details.ofFaults, faults.root];
  const noFaults = el("p", { class: "hint", hidden: true }, NO_FAULTS);
  const inside = createMessage();
  const instead = createMessage("h1");
  const content = el(
    "div",
    { class: "page-content", hidden: true },
    header.root,
    details.figures,
    inside.root,
    ...cards.roots,
    ...charts.roots,
    ...details.roots,
    exits.root,
    faults.root,
    ...cards.details,
    noFaults,
    lives.root,
  );

  return {
    root: el("div", { class: "page vm" }, instead.root, content),
    showMessage: instead.update,
    destroy() {
      cards.destroy();
      charts.destroy();
    },
    /** @param {Answer} answer */
    show(answer) {
      setShown(content, true);
      instead.update(null);
      inside.update(messageOf(answer, state));
      const view = state.get();
      header.update(answer.vm, answer.request.now, {
        back: context.hrefOf(viewOf(view, null)),
        guest: context.hrefOf(viewOfGuest(view, answer.vm.guest)),
      });
      // A guest that had no other VM says nothing more.
      const vms = answer.guest?.vms ?? [];
      setShown(lives.root, vms.length > 1);
      lives.update(
        vms.map((vm) => ({ vm, href: context.hrefOf(viewOf(view, vm.id)), isShown: vm.id === answer.vm.id })),
        answer.guest?.vms_left_out ? `and ${plural(answer.guest.vms_left_out, "more VM")}` : "",
      );
      cards.show(answer.cards, answer.request);
      charts.show(answer);
      details.show(answer);
      const onlyExits = hasOnlyExits(answer);
      for (const root of ofFaults) setShown(root, !onlyExits);
      setShown(noFaults, onlyExits);
    },
    /** @param {Answer} answer @param {boolean} isOther */
    showExits({ exits: { items, next }, vm, request, cards: asked }, isOther) {
      const known = { nameOf: namesOf(asked), isExplained: knowsCauses(asked) };
      exits.update(items, { kind: request.view.kind, pid: vm.pid, hasMore: next !== null, isOther, ...known });
    },
    /** @param {Answer} answer @param {boolean} isOther */
    showFaults({ records: { items, next }, ledger, vm, requests, cards: asked }, isOther) {
      const [account] = ledger.vms;
      const how = { vm, requests, hasMore: next !== null, isOther, nameOf: namesOf(asked) };
      if (account) faults.update(items, { ledger: account, ...how });
    },
  };
}

/** @param {Context} context */
function createCharts(context) {
  const { faults, exits, roots, destroy } = createRateCharts(context, SPLITS);
  const places = stickyPlaces();
  return {
    roots,
    ofFaults: [faults.root],
    /** @param {Answer} answer */
    show(answer) {
      const { by, ledger, events, request } = answer;
      const placed = places(biggestKeys(answer.faults.series, MOST_LINES));
      const lines = namedLines(answer.faults.series, answer.faults.others, placed, (series) => series.label);
      const notes = leftOutNotes({ hasMoreEvents: answer.hasMoreEvents, counted: answer.vm.counted });
      // Its own beginning and end are marked as the VM's.
      const others = (answer.guest?.events ?? []).filter(({ vm, kind }) => vm !== answer.vm.id || kind === "move");
      const beside = { ledger, events, request, notes, life: answer.vm, marks: guestMarks(others) };
      // Flags overlap: they are lines, not parts of a whole.
      faults.update({ rates: answer.faults, lines, stacked: by !== "flag", subject: "faults", ...beside }, by);
      exits.update({ rates: answer.faults, lines: exitLines(answer), stacked: true, subject: "exits", ...beside }, "");
    },
    destroy,
  };
}

/** @param {() => Promise<void>} moreWords */
function createDetails(moreWords) {
  const figures = createFigures();
  const ledger = createLedger();
  const flags = createFlags();
  const reasons = createReasons();
  const vcpus = createVcpus();
  const syndromes = createSyndromes(moreWords);
  return {
    figures: el("section", { class: "card figures-card", "aria-label": "Key figures" }, figures.root),
    roots: [
      ledger.root,
      flags.root,
      el("div", { class: "columns" }, reasons.root, vcpus.root),
      syndromes.root,
    ],
    ofFaults: [ledger.root, flags.root, syndromes.root],
    /** @param {Answer} answer */
    show(answer) {
      figures.update(figuresOf(answer));
      const [account] = answer.ledger.vms;
      if (account) ledger.update(account);
      flags.update(answer.flags);
      reasons.update(reasonRows(answer.vm));
      vcpus.update(vcpuRows(answer.vm), moreVcpus(answer.vm));
      syndromes.update(answer.syndromes, answer.flags.total);
    },
  };
}

/**
 * Whether all that is known of a VM is that it left to user space: what is about faults gives way to that.
 * @param {Pick<Answer, "vm" | "ledger">} answer
 */
export function hasOnlyExits({ vm, ledger }) {
  return vm.faults === 0 && exitsOf(vm) > 0 && ledger.vms.every(({ seen }) => seen.total === 0);
}

/** @param {Answer} answer @param {import("../../state.js").State} state */
function messageOf({ vm, faults, status, request }, state) {
  if (request.range.from >= request.now) return aheadMessage(state);
  const host = status.hosts.find(({ name }) => name === vm.host);
  const elsewhere = lifeElsewhere(request, state, vm, host);
  if (isUncovered(faults.coverage, request.range)) return uncoveredMessage(request, state, elsewhere);
  if (vm.faults + exitsOf(vm) > 0) return null;
  const isWhole = gapsOf(faults.coverage, request).length === 0;
  return emptyMessage("No fault of this VM was seen in this range.", request, state, isWhole, elsewhere);
}
