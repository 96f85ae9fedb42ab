// SPDX-License-Identifier: Apache-2.0
/** Where a fault or an exit was: the VM's guest-physical address, or that of a guest which the guest runs. */

import { el } from "../../base/dom.js";
import { NONE } from "../../base/format.js";

/**
 * @param {{gpa: string | null, l2_address: string | null, nested: boolean | null}} record
 * @param {string} [absent] what to say where no address was shown
 */
export function addressCell({ gpa, l2_address: l2Address, nested }, absent = NONE) {
  if (!nested) return el("td", { class: "nowrap" }, gpa === null ? muted(absent) : el("code", {}, gpa));
  return el(
    "td",
    { title: NESTED },
    gpa !== null && el("code", {}, gpa, " "),
    l2Address !== null && el("span", { class: "nowrap" }, muted("L2 address "), el("code", {}, l2Address), " "),
    el("span", { class: "badge outline" }, "nested"),
  );
}

const NESTED = "A guest of this guest ran (L2). An L2 address is that guest's, not a guest-physical address of the VM.";

/** @param {string} text */
const muted = (text) => el("span", { class: "muted" }, text);
