// SPDX-License-Identifier: Apache-2.0
/** Keys, and what the words on the page mean. */

import { el } from "../base/dom.js";
import { createDialog } from "./dialog.js";

/** @type {[string, string][]} */
const KEYS = [
  ["/", "go to the filter"],
  ["l", "live: pause and resume"],
  ["t", "theme: system, light, dark"],
  ["[ and ]", "earlier or later by half the range"],
  ["- and =", "wider or narrower range"],
  ["s", "hosts, probes and losses"],
  ["d", "decode a word, or every word in a line of a trace or a log"],
  ["g", "back to all VMs"],
  ["Esc", "close, or leave the field"],
  ["?", "this page"],
];

/** @type {[string, string][]} */
const POINTER = [
  ["drag on a chart", "zoom to that span; the browser’s back returns"],
  ["← →, Enter", "on a chart: move the cursor; mark a start, then zoom to the end"],
  ["a legend’s name", "switch the line off and on"],
  ["a mark over a chart", "what changed how hosts are read, or was lost; choose it for the list"],
];

/** @type {[string, string][]} */
const WORDS = [
  [
    "guest fault",
    "a vCPU touched memory that the second-stage page tables did not allow. Counted once each, exactly.",
  ],
  ["memory-fault exit", "KVM_RUN returned KVM_EXIT_MEMORY_FAULT, with address, size and flags."],
  [
    "bare error exit",
    "KVM_RUN failed with EFAULT and no annotated exit: KVM’s answer to a missing host mapping.",
  ],
  [
    "unclassified error exit",
    "KVM_RUN failed in a recording that does not show the exit reason: one of the two above.",
  ],
  ["not covered", "no collector was reading. Nothing is known of that time; it is not zero."],
  ["not exact", "so many faults or exits were seen and could not be counted: the true count is higher."],
  ["ledger", "what became of every fault that was seen: counted or not, recorded one by one or not."],
  [
    "syndrome",
    "the hardware’s raw word and the format it is in. The same number means different things in two formats.",
  ],
];

export function createHelp() {
  const list = (/** @type {[string, string][]} */ pairs, /** @type {string} */ kind) =>
    el(
      "dl",
      { class: kind },
      ...pairs.flatMap(([term, text]) => [
        el("dt", {}, kind === "keys" ? el("kbd", {}, term) : term),
        el("dd", {}, text),
      ]),
    );
  return createDialog(
    { id: "help", title: "Help", kind: "modal" },
    el("h3", {}, "Keys"),
    list(KEYS, "keys"),
    el("h3", {}, "Charts"),
    list(POINTER, "keys"),
    el("h3", {}, "Words"),
    list(WORDS, "words"),
  );
}
