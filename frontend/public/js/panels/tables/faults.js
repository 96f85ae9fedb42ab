// SPDX-License-Identifier: Apache-2.0
/** Guest faults that were recorded one by one, newest first, and what share of all of them they are. */

import { el, setShown, setText } from "../../base/dom.js";
import { countText, forCount, plural, shareText } from "../../base/format.js";
import { MOST_ROWS } from "../../base/paged-list.js";
import { nameAddresses } from "./address-cell.js";
import { createCalmRows } from "./calm-rows.js";
import { card } from "../card.js";
import { createRecordControl } from "../record-control.js";
import { withColumnNames } from "./column-names.js";
import { createFaultRow } from "./fault-row.js";
import { createLoadMore } from "./load-more.js";

/** @typedef {import("./fault-row.js").KeyedFault} KeyedFault */
/** @typedef {import("../../model/host-types.js").VmLedger} VmLedger */

const COLUMNS = ["Time", "vCPU", "Access", "GPA", "Syndrome", "RIP / PC", "Level", "Memslot", "Weight"];
const NUMBERS = ["vCPU", "Memslot", "Weight"];
const FULL = `No more than ${countText(MOST_ROWS)} are listed: choose an earlier range for those before.`;

/**
 * @param {() => Promise<void>} onMore
 * @param {Parameters<typeof createRecordControl>[0]} recording
 */
export function createFaults(onMore, recording) {
  const rows = createCalmRows(withColumnNames(createFaultRow, COLUMNS));
  const share = el("p", { class: "card-note" });
  const control = createRecordControl(recording);
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
  const more = createLoadMore("Load older faults", onMore);
  const about = { id: "records", title: "Single faults", note: "recorded one by one", controls: [rows.held] };
  return {
    root: card(about, share, control.root, table, more.root),
    /**
     * @param {readonly KeyedFault[]} faults
     * @param {object} how
     * @param {VmLedger} how.ledger of the range
     * @param {import("../../model/types.js").VmDetail} how.vm
     * @param {readonly import("../../model/types.js").RecordRequest[]} how.requests to record every fault of it
     * @param {boolean} how.hasMore
     * @param {boolean} how.isOther another question than before
     * @param {import("../../model/memslots.js").NameOf} [how.nameOf]
     */
    update(faults, { ledger, vm, requests, hasMore, isOther, nameOf = () => "" }) {
      rows.update(faults, isOther);
      nameAddresses(rows.body, nameOf);
      setShown(table, faults.length > 0);
      more.update(hasMore && faults.length < MOST_ROWS, hasMore && faults.length >= MOST_ROWS ? FULL : "");
      setText(share, shareSentence(ledger));
      control.update(vm, requests, ledger.recorded.total >= ledger.seen.total);
    },
  };
}

/**
 * What share of the faults is recorded, and where the others are.
 * @param {VmLedger} ledger
 */
export function shareSentence({ seen, uncounted, recorded, sampled_out: sampledOut, dropped }) {
  if (seen.total === 0) return "No fault of this VM was seen in this range.";
  if (recorded.total === seen.total)
    return forCount(
      seen.total,
      "The only fault that was seen in this range is recorded.",
      `All ${countText(seen.total)} faults that were seen in this range are recorded.`,
    );
  const share = shareText(recorded.total, seen.total);
  return [
    recorded.total === 0
      ? forCount(
          seen.total,
          "The only fault that was seen in this range is not recorded.",
          `None of the ${countText(seen.total)} faults that were seen in this range is recorded.`,
        )
      : `${countText(recorded.total)} of ${plural(seen.total, "fault")} that were seen in this range ` +
        `${forCount(recorded.total, "is", "are")} recorded (${share}); ` +
        `${countText(sampledOut.total)} ${forCount(sampledOut.total, "was", "were")} left out by sampling.`,
    dropped.total > 0
      ? `${plural(dropped.total, "record")} ${forCount(dropped.total, "was", "were")} lost: the ring buffer was full.`
      : "",
    uncounted.total === 0 ? "All of them are in the counts." : "",
  ]
    .filter(Boolean)
    .join(" ");
}
