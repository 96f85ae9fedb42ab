// SPDX-License-Identifier: Apache-2.0
/** The state of the collectors in the header; opens the drawer that says it in full. */

import { el, setAttr, setShown, setText } from "../../base/dom.js";
import { countText } from "../../base/format.js";

/** @typedef {import("../../model/health.js").Health} Health */

// A shape for each tone: colour is never alone.
/** @type {Record<import("../../model/health.js").Tone, string>} */
export const SHAPES = { good: "●", warn: "▲", bad: "■", idle: "○" };

/** @param {() => void} onOpen */
export function createStateChip(onOpen) {
  const shape = el("span", { class: "chip-shape", "aria-hidden": "true" });
  const text = el("span", { class: "chip-text" }, "asking for the collectors’ state");
  const lost = el("span", { class: "chip-lost", hidden: true });
  const root = el(
    "button",
    { type: "button", class: "chip", "aria-haspopup": "dialog", click: onOpen },
    shape,
    text,
    lost,
  );
  return {
    root,
    /** @param {Health} health */
    update(health) {
      setAttr(root, "data-tone", health.tone);
      setText(shape, SHAPES[health.tone]);
      setText(text, health.text);
      setAttr(root, "title", `${health.text}; open for hosts, probes and losses`);
      setText(lost, `${countText(health.lost)} newly lost`);
      setShown(lost, health.lost > 0);
    },
  };
}
