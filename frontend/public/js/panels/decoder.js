// SPDX-License-Identifier: Apache-2.0
/** A field to paste a line of a trace or a log into, or a word; every word in it is explained. */

import { el, setChildren, setShown, setText } from "../base/dom.js";
import { createDialog } from "./dialog.js";

/** @typedef {import("../model/types.js").FoundWord} FoundWord */
/** @typedef {import("../model/types.js").FoundWords} FoundWords */

const NOTHING = "No word in this text is known. Name what it is, for example: x86_64:ept 0x181";
const MORE = "There may be more words in this text. Paste the rest by itself.";

/** @param {(text: string) => Promise<FoundWords | string>} decode resolves to the words, or what is wrong */
export function createDecoder(decode) {
  const input = el("textarea", {
    name: "text",
    autofocus: true,
    rows: 4,
    spellcheck: "false",
    placeholder: "kvm_page_fault: vcpu 0 rip 0xfff0 address 0x4000 error_code 0x181",
  });
  const problem = el("p", { class: "form-problem", role: "alert", hidden: true });
  const found = el("div", { class: "found-words", "aria-live": "polite" });
  const form = el(
    "form",
    { class: "decoder" },
    el("label", {}, "Lines of a trace or a log, or a word: 0x181, x86_64:npf 0x200000006, errno 14", input),
    problem,
    el("button", { type: "submit", class: "button primary" }, "Decode"),
  );
  input.addEventListener("keydown", (event) => {
    if (event.key !== "Enter" || event.shiftKey) return;
    event.preventDefault();
    form.requestSubmit();
  });
  let asked = 0;
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    const text = input.value.trim();
    if (text === "") return;
    asked += 1;
    const mine = asked;
    const answer = await decode(text);
    // The answer to an older question may come after that to a newer one.
    if (mine !== asked) return;
    const { items, truncated } = typeof answer === "string" ? { items: [], truncated: false } : answer;
    const about = [items.length === 0 && NOTHING, truncated && MORE].filter(Boolean).join(" ");
    const wrong = typeof answer === "string" ? answer : about;
    setText(problem, wrong);
    setShown(problem, wrong !== "");
    setChildren(found, ...items.map(wordBlock));
  });
  return createDialog({ id: "decoder", title: "Decode", kind: "modal" }, form, found);
}

/** What the kernel's headers and VMMs write in decimal. */
const NUMBERS = new Set(["errno", "exit-reason"]);

/** @param {FoundWord} item */
function wordBlock({ where, target, word, summary, decoded }) {
  const shown = NUMBERS.has(target) ? String(Number(word)) : word;
  const set = (decoded?.fields ?? []).filter((field) => !/^0x0*$/.test(field.value));
  return el(
    "section",
    { class: "found-word" },
    el("h3", {}, where),
    el("p", {}, el("span", { class: "badge outline" }, target), " ", el("code", {}, shown), " ", summary),
    set.length > 0 &&
      el(
        "ul",
        {},
        ...set.map((field) => el("li", {}, `bit ${field.bits} `, el("code", {}, field.name), `: ${field.meaning}`)),
      ),
    ...(decoded?.unknown_bits ?? []).map((bit) => el("p", {}, `bit ${bit}: no meaning known`)),
  );
}
