// SPDX-License-Identifier: Apache-2.0
/** Faults under way in words: for how long, what they wait for, and what is known of who provides the page. */

import { countText, forCount } from "../base/format.js";
import { durationText, dateText } from "../base/time.js";

/** @typedef {import("../../../api-types.js").RangeWarning} RangeWarning */
/** @typedef {import("./types.js").Outstanding} Outstanding */

export const OUTSTANDING_MEANING = "Faults that have begun and not ended, now: their vCPUs stand still.";
const UNKNOWN = { text: "not known", title: "In its first two seconds, or where the kernel does not show it" };

/** @type {Readonly<Record<string, {text: string, title: string, advice: string, mark: boolean}>>} */
const HANDLERS = {
  alive: {
    text: "alive",
    title: "It has read the request, or answers others",
    advice: "",
    mark: false,
  },
  dead: {
    text: "dead",
    title: "Nobody reads the request, nor answers others",
    advice:
      "The userfaultfd handler has ended or stands still: its vCPUs wait until another one answers. Look at the process that " +
      "provides the VM’s memory, as the source of a migration or of a snapshot.",
    mark: true,
  },
  closed: {
    text: "closed",
    title: "The userfaultfd was closed while this vCPU waited for a page",
    advice:
      "A userfaultfd was closed before all memory was there: the guest reads zeros instead of what was missing, and goes on. " +
      "What it computes can be wrong: end it, and begin again from the snapshot or the source.",
    mark: true,
  },
};

/** @param {Pick<Outstanding, "handler" | "handler_pid" | "waits_for">} fault */
export function handlerText({ handler, handler_pid: pid, waits_for: waitsFor }) {
  if (waitsFor !== "userfaultfd") return { text: "" };
  const { text, title, mark } = handler === null ? { ...UNKNOWN, mark: false } : { ...UNKNOWN, mark: false, ...HANDLERS[handler] };
  return { text: pid === null ? text : `${text}, pid ${pid}`, title, mark };
}

/** @param {readonly Outstanding[]} faults what is to be done, in sentences */
export function adviceText(faults) {
  const handlers = new Set(faults.map(({ handler }) => handler));
  return ["closed", "dead"]
    .filter((handler) => handlers.has(/** @type {Outstanding["handler"]} */ (handler)))
    .map((handler) => HANDLERS[handler]?.advice)
    .join(" ");
}

/**
 * @param {readonly Outstanding[]} faults
 * @param {readonly RangeWarning[]} [warnings] of the answer that lists them
 */
export function outstandingSentence(faults, warnings = []) {
  const open = faults.filter(({ handler }) => handler !== "closed");
  const oldest = Math.max(...open.map(({ age_s: age }) => age));
  const stale = faults.some(({ is_stale: isStale }) => isStale)
    ? " The host has not been heard of since: they may have ended."
    : "";
  const [shed] = warnings;
  if (open.length === 0 && shed)
    return (
      `Whether a vCPU stands still is not known since ${dateText(shed.from_ms ?? shed.to_ms)}: ` +
      "to see when vCPUs are asleep cost the host too much."
    );
  if (open.length === 0) return `No vCPU stands still.${stale}`;
  const first = forCount(open.length, "1 vCPU stands still", `${countText(open.length)} vCPUs stand still`);
  return `${first}, for ${durationText(oldest * 1000)}${open.length > 1 ? " the longest" : ""}.${stale}`;
}
