// SPDX-License-Identifier: Apache-2.0
/** What faults were: what the hardware said, apart from what KVM's software knew and did. */

import { el, setAttr, setShown } from "../base/dom.js";
import { createBreakdown } from "./breakdown.js";
import { card } from "./card.js";

export function createFlags() {
  const hardware = createBreakdown({
    title: "Hardware",
    note: "what the syndrome says",
    empty: "No syndrome was shown in this range.",
  });
  const software = createBreakdown({
    title: "Software",
    note: "what KVM knew of the page",
    empty: "No software context in this range.",
  });
  const outcomes = createBreakdown({
    title: "Outcome",
    note: "how faults ended, where the kernel shows it",
    empty: "No outcome was shown in this range.",
  });
  const undefinedBits = createBreakdown({
    title: "Not defined",
    note: "set in words in which the manual leaves these bits undefined: no flags",
    empty: "",
  });
  const meanings = el(
    "button",
    { type: "button", class: "quiet meanings", "aria-pressed": "false", click: showMeanings },
    "Meanings",
  );
  const note = "share of the guest faults in the range; a fault has any number of flags";
  const stack = el("div", { class: "stack" }, software.root, outcomes.root, undefinedBits.root);
  const breakdowns = el("div", { class: "breakdowns" }, hardware.root, stack);

  function showMeanings() {
    const isShown = breakdowns.classList.toggle("with-meanings");
    setAttr(meanings, "aria-pressed", String(isShown));
  }

  return {
    root: card({ id: "flags", title: "Flags", note, controls: [meanings] }, breakdowns),
    /** @param {import("../model/types.js").Flags} flags */
    update({ items, outcomes: ended, undefined: unclear, total }) {
      hardware.update(
        items.filter((item) => item.side === "hardware"),
        total,
      );
      software.update(
        items.filter((item) => item.side === "software"),
        total,
      );
      outcomes.update(ended, total);
      undefinedBits.update(unclear, total);
      setShown(undefinedBits.root, unclear.length > 0);
    },
  };
}
