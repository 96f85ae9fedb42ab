// SPDX-License-Identifier: Apache-2.0
/** What changed how a host is read, and what befell VMs, in words, and which way it went. */

import { countText, significant, words } from "../base/format.js";
import { dateText } from "../base/time.js";

/** @typedef {import("./host-types.js").HostEvent} HostEvent */

/**
 * @typedef {object} ReadEvent
 * @property {number} time UTC ms
 * @property {string} exact RFC 3339 with nanoseconds
 * @property {string} host
 * @property {string} text
 * @property {string} glyph
 * @property {"" | "warn"} tone
 */

/** @typedef {import("./host-types.js").Recorded} Recorded */

/** @type {Record<string, string>} */
const GLYPHS = { attached: "▶", taken_over: "◆", replaced: "◆", stopped: "■", shed: "▼", restored: "▲" };

// What is not measured while a tracepoint is shed.
/** @type {Record<string, string>} */
const LACKING = {
  "sched:sched_switch": "what vCPUs wait for, and pressure, are not measured until it is restored",
  "kvm:kvm_entry": "until it is restored stalls are measured to what KVM did last about the fault",
};

const WARNS = new Set(["userfaultfd_closed", "shed"]);

/** @type {Record<string, string>} */
const KINDS = {
  attached: "a new counting began",
  taken_over: "a collector took over what an earlier one had left counting",
  replaced: "a counting was replaced by another",
  stopped: "the collector was stopped on purpose, and counting with it",
  ended_unseen: "ended while no collector ran",
  userfaultfd_closed: "a userfaultfd was closed while a vCPU waited for a page, which it then read as zeros",
  shed: "a tracepoint is not read for now",
  restored: "a tracepoint is read again",
  clock_stepped: "the correction of its clock changed",
  times_moved: "impossible times were moved",
  server_clock_was_ahead: "the server’s clock was ahead",
};

/** @type {Record<string, (event: HostEvent) => string>} */
const REASONS = {
  not_pinned: () => "it ends with the collector",
  collector_away: () => "counting went on while no collector ran",
  adopted: () =>
    "counting went on while no collector ran; the data directory of the one that began it is gone, and with it " +
    "what waited there for the server",
  unreadable: () => "the earlier counting could not be read",
  unread: ({ since }) =>
    `nobody read it any more; what it had counted since ${since ? momentText(since) : "it was read last"} is lost`,
  renamed: ({ former_host: former }) =>
    "what is counted from here on, and since the last batch before, has this host’s name" +
    (former === null ? "" : `; it was “${former}”`),
  other_version: () =>
    "it was another version’s; its last counts were read, and each vCPU’s count may be one too high",
  paused: () => "it had been stopped; its last counts were read, of a time that is not covered",
};

/** @param {string} time RFC 3339 */
const momentText = (time) => dateText(Date.parse(time));

/**
 * How faults are recorded, in words.
 * @param {Recorded} recorded
 */
function recordingText({ level, one_in: oneIn, per_second: most }) {
  if (level === "none" || oneIn === 0) return "no fault is recorded";
  if (level === "all" || oneIn === 1) return "every fault is recorded";
  if (oneIn !== null) return `one fault of ${oneIn} is recorded`;
  if (level !== "sample") return "how faults are recorded is not known here";
  return `a sample of the faults is recorded${most === null ? "" : `, at most ${most} a second and VM`}`;
}

/**
 * How faults are recorded and why. A collector of an earlier release said it in its own words.
 * @param {Recorded} recorded
 */
export function recordingSentence(recorded) {
  const { reason, used_percent: used, granted_percent: granted, detail } = recorded;
  if (detail) return detail;
  const text = recordingText(recorded);
  if (reason === "no_longer_asked_for") return `${text}, as of the others`;
  if (reason !== "budget" || used === null || granted === null) return text;
  return `${text} (${significant(used)}% of a core used, ${significant(granted)}% granted)`;
}

/** @param {HostEvent} event */
function textOf(event) {
  const { kind, vm, vm_name: name, detail } = event;
  // A collector of an earlier release named the VM in its own words.
  const of = vm === null ? "" : `${name || vm}: `;
  if (isRecording(event)) return of + recordingSentence(event);
  const said = SENTENCES[kind]?.(event) ?? REASONS[event.reason ?? ""]?.(event);
  const text = of + (KINDS[kind] ?? kind.replaceAll("_", " "));
  return [text, said, detail].filter(Boolean).join(": ");
}

/** @type {Record<string, (event: HostEvent) => string | undefined>} */
const SENTENCES = {
  ended_unseen: ({ since, until, count, clock_set_s: set }) =>
    since && until
      ? `between ${momentText(since)} and ${momentText(until)}` +
        (set ? `; the clock was set ${set > 0 ? "ahead" : "back"} by ${countText(Math.abs(set))} s meanwhile` : "")
      : count
        ? `${countText(count)} more VMs`
        : undefined,
  clock_stepped: ({ shift_s: shift }) => {
    // One that an earlier release stored says by how much in its own words only.
    if (shift === null) return undefined;
    return shift ? `times are set ${shift > 0 ? "back" : "forward"} by ${countText(Math.abs(shift))} s` : "it is right again";
  },
  server_clock_was_ahead: ({ shift_s: shift }) =>
    shift ? `by ${countText(shift)} s; what was received then is set to now` : undefined,
  times_moved: ({ moved }) => moved.map(words).join(", "),
  shed: ({ hook, used_percent: used, granted_percent: granted }) =>
    (hook ?? "") +
    (used === null || granted === null
      ? ""
      : ` (${significant(used)}% of a core used, ${significant(granted)}% granted)`) +
    (LACKING[hook ?? ""] ? `; ${LACKING[hook ?? ""]}` : ""),
  restored: ({ hook, reason }) =>
    (hook ?? "") + (reason === "asked_for" ? ", since all faults of a VM are asked for" : ""),
};

/** @param {HostEvent} event */
function isRecording({ kind }) {
  return kind === "records" || kind === "vm_records";
}

// How much is recorded: none, some, all.
/** @param {HostEvent} event */
function amountOf({ level, one_in: oneIn }) {
  if (level === "all" || oneIn === 1) return 2;
  return level === "none" || oneIn === 0 ? 0 : 1;
}

/** @param {string} kind @returns {Pick<ReadEvent, "glyph" | "tone">} */
function lookOf(kind) {
  return { glyph: GLYPHS[kind] ?? "●", tone: WARNS.has(kind) ? "warn" : "" };
}

/**
 * Read events into words, in order of time. A step of the governor points the way that it went, where the step
 * before it is known.
 * @param {readonly HostEvent[]} events newest first
 * @returns {ReadEvent[]} oldest first
 */
export function readEvents(events) {
  /** @type {Map<string, number>} */
  const amounts = new Map();
  return [...events].reverse().map((event) => {
    const { host, kind, time, vm } = event;
    const about = { time: Date.parse(time), exact: time, host, text: textOf(event) };
    // Which VM an event of an earlier collector concerns, only its own words say.
    if (!isRecording(event) || (kind === "vm_records" && vm === null))
      return { ...about, ...lookOf(kind) };
    const amount = amountOf(event);
    // What was asked for begins and ends by itself; the governor takes away.
    const isStep = event.reason === "budget";
    const [ofHost, own] = [`${host} `, `${host} ${vm ?? ""}`];
    // A VM that was asked for was recorded as the others. Of what lies before the range only so much is known that
    // a step to none or to all came from a sample.
    const before = amounts.get(own) ?? amounts.get(ofHost) ?? (isStep || own !== ofHost ? 1 : amount);
    amounts.set(own, amount);
    const glyph = amount === before ? "●" : amount < before ? "▼" : "▲";
    return { ...about, glyph, tone: amount < before && isStep ? "warn" : "" };
  });
}

/**
 * Whether an event concerns a VM: it is of that VM, or of the whole host. What an earlier collector reports of one
 * VM names it in its own words only, and is shown for each.
 * @param {HostEvent} event
 * @param {string} id
 */
export function concerns({ vm }, id) {
  return vm === null || vm === id;
}
