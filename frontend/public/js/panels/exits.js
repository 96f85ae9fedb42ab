/** Memory-fault and bare error exits, one row each, newest first. */

import { countText, sizeText, words } from "../base/format.js";
import { el, keyedList, setAttr, setShown, setText } from "../base/dom.js";
import { exactTimeText } from "../base/time.js";

/** @typedef {import("../base/exit-list.js").KeyedExit} KeyedExit */

const KINDS = /** @type {const} */ ([["", "All"], ["memory_fault", "Memory fault"], ["bare_error", "Bare error"]]);

const COLUMNS = ["Time", "vCPU", "Kind", "Reason", "Error", "GPA", "Size", "Flags", "Syndrome before"];

/**
 * @param {object} options
 * @param {(kind: string) => void} options.onKind
 * @param {() => void} options.onMore
 */
export function createExits({ onKind, onMore }) {
  const body = el("tbody", {});
  const empty = el("p", { class: "empty-note" });
  const more = el("button", { type: "button", class: "button", click: onMore }, "Load older exits");
  const held = el("button", { type: "button", class: "held", click: release, hidden: true });
  const kinds = KINDS.map(([kind, label]) =>
    el("button", { type: "button", "data-kind": kind, click: () => onKind(kind) }, label));
  const table = el("div", { class: "table-scroll" },
    el("table", { class: "data exits", "aria-labelledby": "exits-title" },
      el("thead", {}, el("tr", {}, ...COLUMNS.map((text) =>
        el("th", { scope: "col", class: text === "vCPU" || text === "Size" ? "number" : "" }, text)))), body));
  const root = el("section", { class: "card", id: "exits", "aria-labelledby": "exits-title" },
    el("header", { class: "card-head" }, el("h2", { id: "exits-title" }, "Exits to user space on a memory fault"),
      el("span", { class: "spacer" }), held,
      el("div", { class: "segments", role: "group", "aria-label": "Kind of exit" }, ...kinds)),
    table, empty, el("div", { class: "more" }, more));
  const show = keyedList(body, (/** @type {KeyedExit} */ exit) => exit.key, createExitRow);
  /** @type {KeyedExit[]} */
  let newest = [];
  let shown = 0;
  let top = "";

  // Rows that would push down what is being read wait until they are asked for.
  function isRead() {
    return body.matches(":hover") || body.contains(document.activeElement) || hasSelectionIn(body);
  }

  function release() {
    setShown(held, false);
    show(newest);
    shown = newest.length;
    top = newest[0]?.key ?? "";
  }

  return {
    root,
    /**
     * @param {KeyedExit[]} exits
     * @param {{kind: string, hasMore: boolean, isOther: boolean}} about isOther: another question than before
     */
    update(exits, { kind, hasMore, isOther }) {
      newest = exits;
      const fresh = Math.max(0, exits.findIndex((exit) => exit.key === top));
      if (fresh > 0 && !isOther && isRead()) {
        setText(held, `${countText(fresh)} new – show`);
        setShown(held, true);
        if (exits.length - fresh !== shown) show(exits.slice(fresh));
        shown = exits.length - fresh;
      } else release();
      kinds.forEach((button) => setAttr(button, "aria-pressed", String(button.dataset.kind === kind)));
      setShown(more, hasMore);
      setShown(table, exits.length > 0);
      setShown(empty, exits.length === 0);
      setText(empty, kind === ""
        ? "No exit of this VM went to user space on a memory fault in this range."
        : `No ${words(kind)} exit in this range.`);
    },
  };
}

/** @param {Node} node */
function hasSelectionIn(node) {
  const selection = getSelection();
  return selection !== null && !selection.isCollapsed && node.contains(selection.anchorNode);
}

/** @param {KeyedExit} exit @returns {import("../base/dom.js").Row<KeyedExit>} */
function createExitRow(exit) {
  const flags = exit.flags.map((flag) => el("span", { class: "badge outline" }, words(flag)));
  const raw = exit.flags_raw === null ? "KVM told no flags" : `flags ${exit.flags_raw}`;
  const syndrome = exit.syndrome;
  const wordTitle = syndrome && Object.entries(syndrome.words).map(([name, word]) => `${name} ${word}`).join("\n");
  const root = el("tr", { "data-kind": exit.kind },
    el("td", { class: "nowrap", title: exit.time }, exactTimeText(exit.time)),
    el("td", { class: "number" }, String(exit.vcpu)),
    el("td", {}, el("span", { class: `kind ${exit.kind}` }, words(exit.kind))),
    el("td", { title: `exit reason ${exit.reason}` }, exit.reason_name.replace("KVM_EXIT_", ""),
      el("span", { class: "muted" }, ` ${exit.reason}`)),
    el("td", { title: `errno ${exit.errno}` }, exit.errno_name),
    el("td", {}, exit.gpa === null ? el("span", { class: "muted" }, "not told") : el("code", {}, exit.gpa)),
    el("td", { class: "number nowrap", title: exit.size === null ? null : `${exit.size} bytes` }, sizeText(exit.size)),
    el("td", { title: raw }, ...(flags.length ? flags : [el("span", { class: "muted" }, exit.flags_raw ?? "–")])),
    el("td", { class: "nowrap", title: wordTitle },
      syndrome ? el("code", {}, `${syndrome.format} ${syndrome.word}`) : el("span", { class: "muted" }, "–")));
  // An exit never changes once it is recorded.
  return { root, update: () => undefined };
}
