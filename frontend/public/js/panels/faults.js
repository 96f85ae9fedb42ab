/** Guest faults that were recorded one by one, newest first, and what share of all of them they are. */

import { el, setChildren, setShown, setText } from "../base/dom.js";
import { countText, shareText } from "../base/format.js";
import { recordCommand, recordNote, recordPlace } from "../base/record-command.js";
import { createCalmRows } from "./calm-rows.js";
import { copyButton } from "./copy-button.js";
import { card } from "./card.js";
import { createFaultRow } from "./fault-row.js";

/** @typedef {import("./fault-row.js").KeyedFault} KeyedFault */
/** @typedef {import("../base/host-types.js").VmLedger} VmLedger */

const COLUMNS = ["Time", "vCPU", "Access", "GPA", "Syndrome", "RIP / PC", "Level", "Memslot", "Weight"];
const NUMBERS = ["vCPU", "Memslot", "Weight"];

/** @param {() => void} onMore */
export function createFaults(onMore) {
  const rows = createCalmRows(createFaultRow);
  const share = el("p", { class: "card-note" });
  const how = el("p", { class: "card-note" });
  const heads = COLUMNS.map((text) =>
    el("th", { scope: "col", class: NUMBERS.includes(text) ? "number" : "" }, text),
  );
  const table = el(
    "div",
    { class: "table-scroll" },
    el(
      "table",
      { class: "data faults", "aria-labelledby": "records-title" },
      el("thead", {}, el("tr", {}, ...heads)),
      rows.body,
    ),
  );
  const more = el("button", { type: "button", class: "button", click: onMore }, "Load older faults");
  const about = { id: "records", title: "Single faults", note: "recorded one by one", controls: [rows.held] };
  let shown = "";
  return {
    root: card(about, share, how, table, el("div", { class: "more" }, more)),
    /**
     * @param {readonly KeyedFault[]} faults
     * @param {object} how
     * @param {VmLedger} how.ledger of the range
     * @param {import("../base/types.js").VmDetail} how.vm
     * @param {boolean} how.hasMore
     * @param {boolean} how.isOther another question than before
     */
    update(faults, { ledger, vm, hasMore, isOther }) {
      rows.update(faults, isOther);
      setShown(table, faults.length > 0);
      setShown(more, hasMore);
      setText(share, shareSentence(ledger));
      const command =
        ledger.recorded.total < ledger.seen.total && vm.ended_at === null ? recordCommand(vm, vm.collector) : "";
      setShown(how, command !== "");
      if (command === shown) return;
      shown = command;
      setChildren(
        how,
        `To record every fault of this VM for a minute, ${recordPlace(vm.collector)}`,
        el("code", {}, command),
        copyButton(command),
        recordNote(vm.collector),
      );
    },
  };
}

/**
 * What share of the faults is recorded, and where the others are.
 * @param {VmLedger} ledger
 */
export function shareSentence({ seen, uncounted, recorded, sampled_out: sampledOut, dropped }) {
  if (seen.total === 0) return "No fault of this VM was seen in this range.";
  if (recorded.total === seen.total) return `All ${countText(seen.total)} faults of this range are recorded.`;
  const share = shareText(recorded.total, seen.total);
  return [
    recorded.total === 0
      ? `None of the ${countText(seen.total)} faults of this range is recorded.`
      : `${countText(recorded.total)} of ${countText(seen.total)} faults of this range are recorded (${share}); ` +
        `${countText(sampledOut.total)} were left out by sampling.`,
    dropped.total > 0 ? `${countText(dropped.total)} records were lost: the ring buffer was full.` : "",
    uncounted.total === 0 ? "All of them are in the counts." : "",
  ]
    .filter(Boolean)
    .join(" ");
}
