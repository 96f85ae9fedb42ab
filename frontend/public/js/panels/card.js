// SPDX-License-Identifier: Apache-2.0
/** A part of the page under a title. */

import { el } from "../base/dom.js";

/** @typedef {import("../base/dom.js").Child} Child */

/**
 * @param {object} about
 * @param {string} about.id the title's is this with "-title"
 * @param {string} about.title
 * @param {string | HTMLElement} [about.note] beside the title, for example the unit
 * @param {Child[]} [about.controls] at the right of the title
 * @param {string} [about.kind] one more class
 * @param {...Child} content
 */
export function card({ id, title, note = "", controls = [], kind = "" }, ...content) {
  return el(
    "section",
    { class: `card ${kind}`.trim(), id, "aria-labelledby": `${id}-title` },
    el(
      "header",
      { class: "card-head" },
      el("h2", { id: `${id}-title` }, title),
      typeof note === "string" ? el("span", { class: "unit" }, note) : note,
      el("span", { class: "spacer" }),
      ...controls,
    ),
    ...content,
  );
}
