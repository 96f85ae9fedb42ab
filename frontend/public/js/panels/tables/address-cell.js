// SPDX-License-Identifier: Apache-2.0
/** Where a fault or an exit was: the VM's guest-physical address, or that of a guest which the guest runs. */

import { el, setAttr } from "../../base/dom.js";
import { NONE } from "../../base/format.js";

/**
 * @param {{gpa: string | null, l2_address: string | null, nested: boolean | null, time: string}} record
 * @param {string} [absent] what to say where no address was shown
 */
export function addressCell({ gpa, l2_address: l2Address, nested, time }, absent = NONE) {
  if (!nested)
    return el("td", { class: "nowrap" }, gpa === null ? muted(absent) : el("code", { "data-gpa": gpa, "data-at": time }, gpa));
  return el(
    "td",
    { title: NESTED },
    gpa !== null && el("code", {}, gpa, " "),
    l2Address !== null && el("span", { class: "nowrap" }, muted("L2 address "), el("code", {}, l2Address), " "),
    el("span", { class: "badge outline" }, "nested"),
  );
}

/**
 * Say beside each address of a table which memslot it is in.
 * @param {Element} body
 * @param {import("../../model/memslots.js").NameOf} nameOf
 */
export function nameAddresses(body, nameOf) {
  for (const code of /** @type {NodeListOf<HTMLElement>} */ (body.querySelectorAll("code[data-gpa]"))) {
    const { gpa = "", at = "" } = code.dataset;
    setAttr(code, "title", nameOf(gpa, at) || null);
  }
}

const NESTED = "A guest of this guest ran (L2). An L2 address is that guest's, not a guest-physical address of the VM.";

/** @param {string} text */
const muted = (text) => el("span", { class: "muted" }, text);
