// SPDX-License-Identifier: Apache-2.0
/** What is wrong with how hosts are traced: what goes on first. */

import { el, keyedList, setAttr, setShown, setText } from "../../base/dom.js";
import { countText } from "../../base/format.js";
import { readFinding } from "../../model/findings.js";

/** @typedef {import("../../model/findings.js").ReadFinding} ReadFinding */

export function createFindingList() {
  const list = el("ul", { class: "findings" });
  const rest = el("p", { class: "hint", hidden: true });
  const root = el(
    "section",
    { class: "finding-list", "aria-labelledby": "findings-title", hidden: true },
    el("h3", { id: "findings-title" }, "Found wrong"),
    list,
    rest,
  );
  const show = keyedList(
    list,
    (/** @type {ReadFinding} */ finding) => finding.title,
    () => {
      const title = el("strong", {});
      const text = el("p", {});
      const row = el("li", { class: "advice" }, title, text);
      return {
        root: row,
        update(next) {
          setText(title, next.title);
          setText(text, next.text);
          setAttr(row, "data-current", String(next.isCurrent));
        },
      };
    },
  );
  return {
    root,
    /**
     * @param {readonly import("../../model/host-types.js").Finding[]} findings
     * @param {number} leftOut how many more there are
     * @param {number} now
     */
    update(findings, leftOut, now) {
      setText(rest, `and ${countText(leftOut)} more`);
      setShown(rest, leftOut > 0);
      show(findings.map((finding) => readFinding(finding, now)));
      setShown(root, findings.length > 0);
    },
  };
}
