/** What is wrong with how hosts are traced: what goes on first. */

import { el, keyedList, setAttr, setShown, setText } from "../base/dom.js";
import { readFinding } from "../base/findings.js";

/** @typedef {import("../base/findings.js").ReadFinding} ReadFinding */

export function createFindingList() {
  const list = el("ul", { class: "findings" });
  const root = el(
    "section",
    { class: "finding-list", "aria-labelledby": "findings-title", hidden: true },
    el("h3", { id: "findings-title" }, "Found wrong"),
    list,
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
    /** @param {readonly import("../base/host-types.js").Finding[]} findings @param {number} now */
    update(findings, now) {
      show(findings.map((finding) => readFinding(finding, now)));
      setShown(root, findings.length > 0);
    },
  };
}
