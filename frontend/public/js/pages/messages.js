// SPDX-License-Identifier: Apache-2.0
/** States in words, and what to do about them. */

import { forCount, plural } from "../base/format.js";
import { spanText, whenText } from "../base/time.js";
import { isRecording, lifeOf, newestData, timeOf } from "./newest.js";

/** @typedef {import("../panels/message.js").Message} Message */
/** @typedef {import("./context.js").Request} Request */
/** @typedef {import("../state.js").State} State */

const DOCTOR =
  "Open the state in the header for what the collectors say, run “kvmfaults-collector doctor” on the host, " +
  "or look at another range.";
const JUST_NOW_MS = 60_000;

/** @param {Request} request */
function between({ range, now }) {
  return `between ${whenText(range.from, now)} and ${whenText(Math.min(range.to, now), now)}`;
}

/** @param {Request} request @param {State} state @returns {NonNullable<Message["actions"]>} */
function wider({ view }, state) {
  const day = 86_400_000;
  const label = (/** @type {number} */ span) => `Show the last ${span === day ? "24h" : spanText(span)}`;
  const act = (/** @type {number} */ span) => () => state.set({ span, from: 0, to: 0 });
  return [3_600_000, day, 7 * day]
    .filter((span) => view.span === null || span > view.span)
    .slice(0, 2)
    .map((span) => ({ label: label(span), act: act(span) }));
}

/**
 * Nobody was reading in the whole range.
 * @param {Request} request
 * @param {State} state
 * @param {Elsewhere} elsewhere
 * @returns {Message}
 */
export function uncoveredMessage(request, state, { text, actions, advice }) {
  return {
    title: `No collector was reading ${between(request)}.`,
    text: ["Nothing is known of this time; that is not the same as no faults.", text, advice].filter(Boolean).join(" "),
    actions: [...actions, ...wider(request, state)],
  };
}

/**
 * What to do where collectors bring nothing; "" where it is not theirs to bring it.
 * @param {Request} request
 * @param {readonly import("../model/host-types.js").Host[]} hosts that may have brought it
 */
export function adviceOf({ range, now }, hosts) {
  const live = hosts.filter((host) => !isRecording(host));
  if (live.length === 0) return hosts.length > 0 ? "" : DOCTOR;
  // What one reports now says nothing of a range that is over.
  if (live.some((host) => host.is_covering)) return range.to >= now - JUST_NOW_MS ? DOCTOR : "";
  if (live.every(({ state }) => state === "stopped")) {
    const whose = live.length === 1 ? `The collector of ${live[0]?.name} was` : "The collectors were";
    return `${whose} stopped: started again, ${forCount(live.length, "it goes", "they go")} on counting.`;
  }
  return DOCTOR;
}

/**
 * Where there is something to see.
 * @typedef {object} Elsewhere
 * @property {string} text
 * @property {NonNullable<Message["actions"]>} actions
 * @property {string} advice what to do about the collectors
 */

/**
 * Where the server's newest data is.
 * @param {Request} request
 * @param {State} state
 * @param {import("../model/host-types.js").Status} status
 * @returns {Elsewhere}
 */
export function newestElsewhere(request, state, status) {
  const { now } = request;
  const { host, endsAt, recordings } = newestData(status);
  const advice = adviceOf(request, status.hosts);
  const has = recordings > 0 ? `This server has ${plural(recordings, "recording")}. ` : "";
  if (!host || host.is_covering) return { text: has.trim(), actions: [], advice };
  const what = isRecording(host) ? "a recording, and" : "a host whose data";
  const show = async () => state.set({ span: null, ...(await timeOf(host)) });
  return {
    text: `${has}The newest data is of ${host.name}, ${what} ends at ${whenText(endsAt, now)}.`,
    actions: [{ label: isRecording(host) ? "Show the newest recording" : "Show the newest data", act: () => void show() }],
    advice,
  };
}

/**
 * Where a VM's data is.
 * @param {Request} request
 * @param {State} state
 * @param {import("../model/types.js").Vm} vm
 * @param {import("../model/host-types.js").Host | undefined} host the VM's, where it is listed
 * @returns {Elsewhere}
 */
export function lifeElsewhere(request, state, vm, host) {
  const { range, now } = request;
  const [first, last] = [Date.parse(vm.first_seen), Date.parse(vm.last_seen)];
  const isThere = last >= range.from && first < range.to;
  // A VM that had ended is not what a collector could bring.
  if (isThere) return { text: "", actions: [], advice: adviceOf(request, host ? [host] : []) };
  return {
    text: `This VM was seen from ${whenText(first, now)} to ${whenText(last, now)}.`,
    actions: [{ label: "Show the VM’s time", act: () => state.set({ span: null, ...lifeOf(vm) }) }],
    advice: "",
  };
}

/**
 * The whole range is yet to come.
 * @param {State} state
 * @returns {Message}
 */
export function aheadMessage(state) {
  return {
    title: "This range is in the future.",
    text: "Nothing can be known of it yet. Look at the present, or at a range that has begun.",
    actions: [{ label: "Show the last 15m", act: () => state.set({ span: 900_000, from: 0, to: 0 }) }],
  };
}

/**
 * It was read, or a part of it, and there was nothing.
 * @param {string} title
 * @param {Request} request
 * @param {State} state
 * @param {boolean} isWhole whether all of it was read
 * @param {Elsewhere} elsewhere
 * @returns {Message}
 */
export function emptyMessage(title, request, state, isWhole, { text, actions }) {
  const read = isWhole
    ? `A collector was reading ${between(request)}, and there was nothing to count.`
    : `What was read ${between(request)} held nothing to count; the hatched time was not read.`;
  return {
    title,
    text:
      `${read} ${text ? `${text} ` : ""}Start a guest, or widen the range. ` +
      "Without a guest at hand, “script/server --demo” runs some that fault.",
    actions: [...actions, ...wider(request, state)],
  };
}

/**
 * There is no such VM or guest.
 * @param {"VM" | "guest"} what
 * @param {string} id
 * @param {() => void} goBack
 * @returns {Message}
 */
export function missingMessage(what, id, goBack) {
  return {
    title: `There is no such ${what}.`,
    text: `The server knows no ${what} with the id ${id}. It may have been on another server, or the address was cut short.`,
    actions: [{ label: "All VMs", act: goBack }],
  };
}

/**
 * What of an address cannot be used, and what is shown instead; "" where all of it can.
 * @param {import("../state.js").View} view
 */
export function problemText({ problems, span }) {
  if (problems.length === 0) return "";
  const shown = span === null ? "" : ` The last ${spanText(span)} are shown.`;
  return `This address cannot be used as it is: ${problems.join("; ")}.${shown}`;
}

/**
 * There is no such page.
 * @param {() => void} goBack
 * @returns {Message}
 */
export function lostMessage(goBack) {
  return {
    title: "There is no such page.",
    text: `Nothing is at ${location.pathname}. The address may have been cut short, or have something extra.`,
    actions: [{ label: "All VMs", act: goBack }],
  };
}

/**
 * What the newest value of a series is called: of a range that stands still it is not of now.
 * @param {string} what
 * @param {import("../state.js").View} view
 */
export function latestLabel(what, { span }) {
  return span === null ? `${what} at end` : `${what} now`;
}
