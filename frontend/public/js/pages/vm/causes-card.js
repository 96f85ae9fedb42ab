// SPDX-License-Identifier: Apache-2.0
/** Why KVM_RUN failed: each cause with what was found, what it usually means, and what to do next. */

import { el, keyedList, setChildren, setText } from "../../base/dom.js";
import { plural, words } from "../../base/format.js";
import { dateText } from "../../base/time.js";
import { causeText, evidenceTexts } from "../../model/causes.js";
import { card } from "../../panels/card.js";
import { getCauses } from "../../vm-api.js";

/** @typedef {import("../../model/types.js").Causes} Causes */
/** @typedef {import("../../model/types.js").CauseOfExits} CauseOfExits */

/** @type {import("./cards.js").Card<Causes>} */
export const CAUSES_CARD = {
  id: "causes",
  title: "Why KVM_RUN failed",
  ask: (vm, { range, signal }) => getCauses({ vm }, range, signal),
  isEmpty: ({ items }) => items.length === 0,
  create() {
    const list = el("ul", { class: "cause-list" });
    const show = keyedList(list, (/** @type {CauseOfExits} */ item) => item.cause, createCause);
    return {
      root: card({ id: CAUSES_CARD.id, title: CAUSES_CARD.title, note: "memory-fault and bare error exits in the range" }, list),
      destroy: () => {},
      update: ({ items }) => show(items),
    };
  },
};

/**
 * Whether the card says something.
 * @param {import("./cards.js").CardAnswers} answers
 */
export function knowsCauses(answers) {
  /** @type {Causes | null} */
  const answer = answers.get(CAUSES_CARD.id)?.answer ?? null;
  return answer !== null && answer.items.length > 0;
}

/**
 * @returns {import("../../base/dom.js").Row<CauseOfExits>}
 */
function createCause() {
  const name = el("h3", {});
  const when = el("span", { class: "muted" });
  const meaning = el("p", {});
  const next = el("p", {});
  const evidence = el("dl", { class: "facts" });
  let found = "";
  return {
    root: el("li", {}, el("div", { class: "cause-head" }, name, when), meaning, next, evidence),
    update(item) {
      setText(name, causeText(item.cause));
      setText(when, whenText(item));
      setText(meaning, item.meaning);
      setText(next, item.next);
      // What is selected stays so, as long as nothing else was found.
      const said = JSON.stringify(item.evidence);
      if (said === found) return;
      found = said;
      setChildren(evidence, ...evidenceTexts(item.evidence).map(evidencePart));
    },
  };
}

/** @param {[string, string]} named */
function evidencePart([name, text]) {
  return el("div", {}, el("dt", {}, words(name)), el("dd", {}, el("code", {}, text)));
}

/**
 * How many, and when the first and the last of all time were.
 * @param {Pick<CauseOfExits, "count" | "first_at" | "last_at">} cause
 */
export function whenText({ count, first_at: first, last_at: last }) {
  const [from, to] = [dateText(Date.parse(first)), dateText(Date.parse(last))];
  return `${plural(count, "exit")}; ${from === to ? `at ${to}` : `first ${from}, last ${to}`}`;
}
