// SPDX-License-Identifier: Apache-2.0
/** How far back what is stored reaches, and what it takes. */

import { el, setChildren } from "../../base/dom.js";
import { keptNotes, keptRows } from "../../model/storage.js";

export function createStorageTable() {
  const body = el("tbody", {});
  const notes = el("div", {});
  const root = el(
    "section",
    { class: "storage", "aria-labelledby": "storage-title", hidden: true },
    el("h3", { id: "storage-title" }, "What is kept"),
    el(
      "table",
      { class: "data" },
      el("thead", {}, el("tr", {}, ...["What", "Kept", "From", "Takes"].map(head))),
      body,
    ),
    notes,
  );
  let shown = "";
  return {
    root,
    /** @param {import("../../model/storage.js").Storage} storage @param {number} now */
    update(storage, now) {
      const rows = keptRows(storage);
      const texts = keptNotes(storage, now);
      // Rebuilt only where something else is said, so that text in it can be selected.
      const said = JSON.stringify([rows, texts]);
      if (said === shown) return;
      shown = said;
      setChildren(
        body,
        ...rows.map(({ what, age, since, size }) =>
          el(
            "tr",
            {},
            el("td", {}, what),
            el("td", {}, age),
            el("td", {}, since),
            el("td", { class: "number" }, size),
          ),
        ),
      );
      setChildren(notes, ...texts.map((text) => el("p", { class: "hint" }, text)));
      root.hidden = false;
    },
  };
}

/** @param {string} text */
function head(text) {
  return el("th", { scope: "col", class: text === "Takes" ? "number" : null }, text);
}
