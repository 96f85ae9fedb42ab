// SPDX-License-Identifier: Apache-2.0
/** A request to record every fault of a VM, in words. */

import { countText, forCount, plural, secondsText, shareText, significant } from "../base/format.js";

/** @typedef {import("./types.js").RecordRequest} RecordRequest */

/** How long a VM can be recorded, as the page offers it. */
export const LENGTHS = [
  { seconds: 60, text: "1 minute" },
  { seconds: 600, text: "10 minutes" },
  { seconds: 3600, text: "1 hour" },
];

/** @type {Record<string, string>} */
const ENDS = {
  time: "its time is over",
  withdrawn: "it was stopped",
  vm_ended: "the VM ended",
};

/** @param {Pick<RecordRequest, "state">} request */
export function isOpen({ state }) {
  return state !== "over";
}

/**
 * Where a request is, and what it came to so far.
 * @param {RecordRequest} request
 */
export function requestSentences(request) {
  return [stateSentence(request), resultSentence(request), costSentence(request)].filter(Boolean).join(" ");
}

/** @param {RecordRequest} request */
function stateSentence({ state, end, is_final: isFinal, level, left_s: left, host, ...request }) {
  const rest = `${countText(Math.ceil(left))} s are left`;
  if (state === "asked") return `Asked ${host} to record every fault of this VM: ${rest}.`;
  if (state === "waiting") return `Nothing is heard of ${host}, which was asked to record this VM: ${rest}.`;
  if (state === "not_found") {
    return `The collector of ${host} has seen no fault of this VM yet, and records it once it does: ${rest}.`;
  }
  if (state === "over") {
    const answered = isFinal ? "" : ` ${host} has not said yet what it recorded last.`;
    return `The last recording is over: ${ENDS[end ?? ""] ?? "its end is not known here"}.${answered}`;
  }
  if (level === "all") return `Every fault of this VM is being recorded: ${rest}.`;
  const { used_percent: used, granted_percent: granted } = request;
  const why =
    used === null || granted === null
      ? ""
      : ` (${significant(used)} % of a core used, ${significant(granted)} % granted)`;
  return `The collector's budget does not allow to record every fault of this VM now${why}: ${rest}.`;
}

/** @param {RecordRequest} request */
function resultSentence({ seen, recorded, dropped, missed, dropped_batches: batches }) {
  if (seen === null || recorded === null) return "";
  if (seen === 0) return "No fault of it was seen in that time.";
  const share = recorded === seen ? "" : ` (${shareText(recorded, seen)})`;
  const lost = dropped ? ` ${plural(dropped, "record")} found the buffer full.` : "";
  const unsure =
    missed || batches
      ? ` ${plural(missed ?? 0, "event")} of the host could not be attributed, and it dropped ` +
        `${countText(batches ?? 0)} ${forCount(batches ?? 0, "batch", "batches")}: some may be of this VM.`
      : "";
  return `${countText(recorded)} of ${plural(seen, "fault")}${share} recorded.${lost}${unsure}`;
}

/** @param {RecordRequest} request */
function costSentence({ cost }) {
  if (cost === null || cost.usual_cpu_s === null) return "";
  const more = Math.max(0, cost.cpu_s - cost.usual_cpu_s);
  return `The collector used ${secondsText(more)} of CPU time more than it usually does.`;
}
