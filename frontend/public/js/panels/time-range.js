// SPDX-License-Identifier: Apache-2.0
/** The range of time: presets, a typed range, live or standing still. */

import { el, setAttr, setShown, setText } from "../base/dom.js";
import { dateText, rangeText, spanText, toLocalInput, zoneName } from "../base/time.js";

/** @typedef {import("../model/types.js").Range} Range */

const PRESETS = ["1m", "5m", "15m", "1h", "6h", "24h", "7d", "30d"];

/**
 * @param {object} options
 * @param {(span: string) => void} options.onSpan a preset was chosen
 * @param {(range: Range) => void} options.onRange a range was typed
 * @param {() => void} options.onLive live was switched
 */
export function createTimeRange({ onSpan, onRange, onLive }) {
  const presets = PRESETS.map((span) =>
    el(
      "button",
      { type: "button", "data-span": span, title: `The newest ${span}`, click: () => onSpan(span) },
      span,
    ),
  );
  const custom = el("button", {
    type: "button",
    class: "custom",
    "aria-expanded": "false",
    "aria-controls": "custom-range",
  });
  const form = createForm(onRange, close);
  const onPaper = el("p", { class: "on-paper" });
  const live = el(
    "button",
    { type: "button", class: "live", title: "Follow the present (l)", click: onLive },
    el("span", { class: "live-dot", "aria-hidden": "true" }),
    "Live",
  );
  const root = el(
    "div",
    { class: "time-range" },
    el("div", { class: "segments", role: "group", "aria-label": "Time range" }, ...presets, custom),
    live,
    form.root,
    onPaper,
  );
  custom.addEventListener("click", () => (form.root.hidden ? open() : close()));
  form.root.addEventListener("keydown", (event) => {
    if (event.key !== "Escape") return;
    event.stopPropagation();
    close();
    custom.focus();
  });
  document.addEventListener("pointerdown", (event) => {
    if (event.target instanceof Node && !root.contains(event.target)) close();
  });
  /** @type {Range} */
  let range = { from: 0, to: 0 };

  function open() {
    form.fill(range);
    setShown(form.root, true);
    setAttr(custom, "aria-expanded", "true");
    form.focus();
  }

  function close() {
    setShown(form.root, false);
    setAttr(custom, "aria-expanded", "false");
  }

  return {
    root,
    /** @param {number | null} span @param {Range} next @param {number} now */
    update(span, next, now) {
      range = next;
      const chosen = span === null ? "" : spanText(span);
      const shownAs = chosen === "1d" ? "24h" : chosen;
      presets.forEach((button) => setAttr(button, "aria-pressed", String(button.dataset.span === shownAs)));
      const isCustom = span === null || !PRESETS.includes(shownAs);
      setAttr(custom, "aria-pressed", String(isCustom));
      const fixed = rangeText(next, now);
      setText(custom, span === null ? fixed : isCustom ? `last ${shownAs}` : "Custom");
      setAttr(live, "aria-pressed", String(span !== null));
      // "15m" says nothing on paper the next day.
      setText(onPaper, `${dateText(next.from)} to ${dateText(next.to)}, ${zoneName()}`);
    },
  };
}

/** @param {(range: Range) => void} onRange @param {() => void} close */
function createForm(onRange, close) {
  const field = (/** @type {string} */ label) => {
    const input = el("input", { type: "datetime-local", step: 1, required: true });
    return { input, root: el("label", {}, label, input) };
  };
  const [from, to] = [field("From"), field("To")];
  const problem = el("p", { class: "form-problem", role: "alert", hidden: true });
  const root = el(
    "form",
    { class: "popover", id: "custom-range", hidden: true, "aria-label": "Custom time range" },
    from.root,
    to.root,
    el("p", { class: "hint" }, `Your time zone: ${zoneName()}`),
    problem,
    el("button", { type: "submit", class: "button primary" }, "Show"),
  );
  root.addEventListener("submit", (event) => {
    event.preventDefault();
    const range = { from: Date.parse(from.input.value), to: Date.parse(to.input.value) };
    const isValid = range.from < range.to;
    setShown(problem, !isValid);
    setText(problem, isValid ? "" : "The end must be after the start.");
    if (!isValid) return;
    close();
    onRange(range);
  });
  return {
    root,
    focus: () => from.input.focus(),
    /** @param {Range} range */
    fill(range) {
      from.input.value = toLocalInput(range.from);
      to.input.value = toLocalInput(range.to);
      setShown(problem, false);
    },
  };
}
