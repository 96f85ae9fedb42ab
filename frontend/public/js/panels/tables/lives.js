// SPDX-License-Identifier: Apache-2.0
/** The VMs of a guest, one row each, with a link to each one's page. */

import { countText } from "../../base/format.js";
import { el, keyedList, setAttr, setShown, setText } from "../../base/dom.js";
import { dateText } from "../../base/time.js";
import { lifeText, vmTitle } from "../../model/vm.js";
import { card } from "../card.js";

/** @typedef {import("../../model/types.js").Vm} Vm */

/** @typedef {{vm: Vm, href: string, isShown: boolean}} LifeRow isShown: it is the VM whose page this is */

const COLUMNS = ["VM", "Host", "Process id", "Started", "State", "Guest faults", "Memory-fault exits"];
const NUMBERS = ["Process id", "Guest faults", "Memory-fault exits"];

/**
 * @param {object} options
 * @param {string} options.title
 * @param {string} options.note
 * @param {(vm: string) => void} options.onOpen
 */
export function createLives({ title, note, onOpen }) {
  const body = el("tbody", {});
  const heads = COLUMNS.map((text) =>
    el("th", { scope: "col", class: NUMBERS.includes(text) ? "number" : "" }, text),
  );
  const rest = el("p", { class: "empty-note", hidden: true });
  const table = el("table", { class: "data", "aria-labelledby": "lives-title" }, el("thead", {}, el("tr", {}, ...heads)), body);
  const root = card({ id: "lives", title, note }, el("div", { class: "table-scroll" }, table), rest);
  const show = keyedList(
    body,
    (/** @type {LifeRow} */ row) => row.vm.id,
    () => createLife(onOpen),
  );
  return {
    root,
    /** @param {readonly LifeRow[]} rows @param {string} [left] what is not listed */
    update(rows, left = "") {
      show(rows);
      setText(rest, left);
      setShown(rest, left !== "");
    },
  };
}

/** @param {(vm: string) => void} onOpen @returns {import("../../base/dom.js").Row<LifeRow>} */
function createLife(onOpen) {
  let id = "";
  const link = el("a", {
    click: (event) => {
      if (event.ctrlKey || event.metaKey || event.shiftKey) return;
      event.preventDefault();
      onOpen(id);
    },
  });
  const cells = COLUMNS.slice(1).map((text) => el("td", { class: NUMBERS.includes(text) ? "number" : "" }));
  const root = el("tr", {}, el("td", {}, link), ...cells);
  return {
    root,
    update({ vm, href, isShown }) {
      id = vm.id;
      setText(link, vmTitle(vm));
      setAttr(link, "href", href);
      setAttr(link, "title", vm.id);
      setAttr(link, "aria-current", isShown ? "page" : null);
      const texts = [vm.host, String(vm.pid), dateText(Date.parse(vm.started_at)), lifeText(vm)];
      const counts = [countText(vm.faults), countText(vm.memory_fault_exits)];
      [...texts, ...counts].forEach((text, at) => setText(/** @type {Element} */ (cells[at]), text));
      root.classList.toggle("ended", !vm.running);
    },
  };
}
