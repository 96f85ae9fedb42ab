// SPDX-License-Identifier: Apache-2.0
/** What changed how hosts are read, newest first. */

import { el, keyedList, setShown, setText } from "../../base/dom.js";
import { exactTime } from "../exact-time.js";

/** @typedef {import("../../model/host-events.js").ReadEvent} ReadEvent */

export function createEventList() {
  const list = el("ol", { class: "events" });
  const none = el("p", { class: "hint" }, "Nothing changed in the range on show.");
  const rest = el("p", { class: "hint" });
  const heading = el("h3", { id: "events-title", tabindex: -1 }, "Events in the range");
  const show = keyedList(
    list,
    (/** @type {ReadEvent} */ event) => `${event.exact} ${event.host} ${event.text}`,
    createRow,
  );
  return {
    root: el(
      "section",
      { class: "event-list", "aria-labelledby": "events-title" },
      heading,
      list,
      none,
      rest,
    ),
    focus() {
      heading.scrollIntoView({ block: "start" });
      heading.focus();
    },
    /** @param {readonly ReadEvent[]} events oldest first @param {boolean} hasMore */
    update(events, hasMore) {
      show([...events].reverse());
      setShown(none, events.length === 0);
      setShown(rest, hasMore);
      setText(rest, `Only the newest ${events.length} are listed; choose a shorter range for those before.`);
    },
  };
}

/** @param {ReadEvent} event @returns {import("../../base/dom.js").Row<ReadEvent>} */
function createRow({ exact, host, text, glyph, tone }) {
  const time = exactTime(exact);
  const root = el(
    "li",
    { "data-tone": tone || null },
    el("span", { class: "mark-glyph", "aria-hidden": "true" }, glyph),
    el("span", { class: "event-head" }, time, " ", el("strong", {}, host)),
    el("span", { class: "event-text" }, text),
  );
  return { root, update: () => undefined };
}
