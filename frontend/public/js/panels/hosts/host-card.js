// SPDX-License-Identifier: Apache-2.0
/** One host in the drawer: its state, how it is read, what that costs, what was lost. */

import { el } from "../../base/dom.js";
import { countText } from "../../base/format.js";
import { hostHealth, waitingFor } from "../../model/health.js";
import * as say from "../../model/host-words.js";
import { whenText } from "../../base/time.js";
import { lossText } from "../../model/losses.js";
import { SHAPES } from "./state-chip.js";

/** @typedef {import("../../model/host-types.js").Host} Host */
/** @typedef {import("../../model/host-types.js").HostBatches} HostBatches */

const ADVICE = "“kvmfaults-collector doctor” on the host says more.";

/**
 * @param {Host} host
 * @param {object} about
 * @param {HostBatches | null} about.batches null while they are not known
 * @param {number} about.newlyLost of its losses, those that were not acknowledged
 * @param {number} about.now
 * @param {() => void} about.onShow its time is to be shown
 */
export function hostCard(host, { batches, newlyLost, now, onShow }) {
  const health = hostHealth(host);
  return el(
    "section",
    { class: "host", "data-tone": health.tone, "data-host": host.name },
    el("h3", {}, host.name, chip(health)),
    el("p", { class: "hint" }, factsOf(host)),
    el("p", {}, say.stateSentence(host, now)),
    timePart(host, now, onShow),
    waitingPart(host),
    lackingPart(host),
    readingPart(host, batches, now),
    ...lossPart(host, newlyLost),
    ...probePart(host),
    blindPart(host),
  );
}

/** @param {{tone: import("../../model/health.js").Tone, text: string}} health */
function chip({ tone, text }) {
  const shape = el("span", { class: "chip-shape", "aria-hidden": "true" }, SHAPES[tone]);
  return el("span", { class: "chip", "data-tone": tone }, shape, el("span", { class: "chip-text" }, text));
}

/** @param {Host} host */
function factsOf({ arch, kernel, flavour, collector_version: version }) {
  return [arch, kernel && `Linux ${kernel}`, flavour && `KVM: ${flavour}`, version && `collector ${version}`]
    .filter(Boolean)
    .join(" · ");
}

/**
 * A recording is of its own time: where that is, and the way there.
 * @param {Host} host
 * @param {number} now
 * @param {() => void} onShow
 */
function timePart({ name, state, covered_to: end }, now, onShow) {
  if (state !== "replay" || end === null) return null;
  const button = el(
    "button",
    { type: "button", class: "button", "aria-label": `Show ${name}`, click: onShow },
    "Show",
  );
  return el("p", {}, `It ends at ${whenText(Date.parse(end), now)}. `, button);
}

/** @param {Host} host */
function waitingPart(host) {
  const waiting = waitingFor(host);
  if (!waiting) return null;
  return el(
    "div",
    { class: "advice" },
    el("p", {}, el("strong", {}, "Waiting for: "), waiting.reason),
    el("p", {}, el("strong", {}, "What to do: "), waiting.remedy ? `${waiting.remedy}. ` : "", ADVICE),
  );
}

/** @param {Host} host */
function lackingPart(host) {
  const lacking = say.lackingSentence(host);
  return lacking ? el("p", { class: "advice" }, lacking) : null;
}

/** @param {Host} host @param {HostBatches | null} batches @param {number} now */
function readingPart(host, batches, now) {
  /** @type {[string, string][]} */
  const pairs = [
    ["Records", say.recordsSentence(host, now)],
    ["Counting", say.pinsSentence(host)],
    ["Batches", batches ? say.batchesSentence(batches) : ""],
  ];
  const costs = say.costFigures(host);
  if (costs.length === 0 && host.state === "attached" && host.is_covering)
    pairs.push(["Cost", "not reported in the last minute"]);
  const listed = [...pairs, ...costs].filter(([, text]) => text !== "");
  if (listed.length === 0) return null;
  return el(
    "dl",
    { class: "host-facts" },
    ...listed.flatMap(([term, text]) => [el("dt", {}, term), el("dd", {}, text)]),
  );
}

/** @param {Host} host @param {number} newlyLost */
function lossPart(host, newlyLost) {
  const losses = Object.entries(host.lost).filter(([, count]) => count > 0);
  if (losses.length === 0) return [el("p", { class: "hint" }, "Nothing was lost, ever.")];
  return [
    el(
      "h4",
      {},
      newlyLost > 0 ? `Lost, ever; ${countText(newlyLost)} of it since you looked last` : "Lost, ever; seen before",
    ),
    el(
      "ul",
      { class: "losses" },
      ...losses.map(([kind, count]) =>
        el("li", {}, el("strong", {}, countText(count)), ` ${lossText(kind, count)}`),
      ),
    ),
  ];
}

/** @param {Host} host */
function probePart({ probes }) {
  if (probes.length === 0) return [];
  return [
    el("h4", {}, "Probes"),
    el(
      "ul",
      { class: "probes" },
      ...probes.map(({ tracepoint, state, detail }) =>
        el(
          "li",
          { "data-state": state },
          el("code", {}, tracepoint),
          el("span", { class: "probe-state" }, state),
          detail ? el("span", { class: "hint" }, detail) : null,
        ),
      ),
    ),
  ];
}

/** @param {Host} host */
function blindPart(host) {
  return el(
    "div",
    { class: "blind" },
    el("h4", {}, "Not counted as guest faults here"),
    el("ul", { class: "hint" }, ...say.blindSpots(host).map((text) => el("li", {}, text))),
  );
}
