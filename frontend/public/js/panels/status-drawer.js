/** Hosts, their probes and what they lost. */

import { el, setChildren, setText } from "../base/dom.js";
import { countText, words } from "../base/format.js";
import { hostHealth } from "../base/health.js";
import { agoText } from "../base/time.js";
import { createDialog } from "./dialog.js";
import { SHAPES } from "./state-chip.js";

/** @typedef {import("../base/types.js").Host} Host */
/** @typedef {import("../base/types.js").Status} Status */

/** What each kind of loss means. */
/** @type {Record<string, string>} */
const LOSSES = {
  keys_full: "faults or exits that found the count map full",
  unattributed: "faults of which no vCPU could be told",
  exit_records: "exits that were counted, whose record found the ring buffer full",
  spool_batches: "batches that the collector’s spool had to drop",
  trace_lines: "lines of a recording that could not be read",
  trace_events: "events that a recording’s buffer overran",
};

const ADVICE = "Run “kvmfaults-collector doctor” on the host: it tells what is missing and the remedy.";

export function createStatusDrawer() {
  const server = el("p", { class: "hint" });
  const hosts = el("div", { class: "hosts" });
  const dialog = createDialog({ id: "status", title: "Collectors", kind: "drawer" }, server, hosts);
  let shown = "";
  return {
    ...dialog,
    /** @param {Status} status @param {number} now */
    update(status, now) {
      const since = agoText(Date.parse(status.started_at), now);
      setText(
        server,
        `Server ${status.version} on ${status.database}, started ${since}. ` +
          (status.ready ? "Ready." : `Not ready: ${status.missing}.`),
      );
      // Rebuilt only where something is different, so that text in it can be selected.
      const next = JSON.stringify(
        status.hosts.map((host) => ({ ...host, age_s: Math.round(host.age_s), last_batch: "" })),
      );
      if (next === shown) return;
      shown = next;
      setChildren(hosts, ...(status.hosts.length ? status.hosts.map(hostCard) : [noHost()]));
    },
  };
}

function noHost() {
  return el(
    "p",
    {},
    "No collector has ever sent anything to this server. Start one, or start the server together with one: script/server.",
  );
}

/** @param {Host} host */
function hostCard(host) {
  const health = hostHealth(host);
  const facts = [
    host.arch,
    `Linux ${host.kernel}`,
    host.flavour && `KVM: ${host.flavour}`,
    host.collector_version && `collector ${host.collector_version}`,
  ]
    .filter(Boolean)
    .join(" · ");
  return el(
    "section",
    { class: "host", "data-tone": health.tone },
    el(
      "h3",
      {},
      host.name,
      el(
        "span",
        { class: "chip", "data-tone": health.tone },
        el("span", { class: "chip-shape", "aria-hidden": "true" }, SHAPES[health.tone]),
        health.text,
      ),
    ),
    el("p", { class: "hint" }, facts),
    el(
      "p",
      { class: "hint", title: host.last_batch },
      `Newest batch ${host.age_s < 1.5 ? "just now" : `${Math.round(host.age_s)} s ago`}. ` +
        (host.is_covering ? "Its probes are being read." : "Nothing is being read at this moment."),
    ),
    host.state === "waiting" ? el("p", { class: "advice" }, `${host.detail}. ${ADVICE}`) : null,
    ...lossPart(host),
    ...probePart(host),
  );
}

/** @param {Host} host */
function lossPart(host) {
  const losses = Object.entries(host.lost).filter(([, count]) => count > 0);
  if (losses.length === 0) return [el("p", { class: "hint" }, "Nothing was lost.")];
  return [
    el("h4", {}, "Lost"),
    el(
      "ul",
      { class: "losses" },
      ...losses.map(([kind, count]) =>
        el("li", {}, el("strong", {}, countText(count)), ` ${LOSSES[kind] ?? words(kind)}`),
      ),
    ),
  ];
}

/** @param {Host} host */
function probePart(host) {
  if (host.probes.length === 0) return [];
  return [
    el("h4", {}, "Probes"),
    el(
      "ul",
      { class: "probes" },
      ...host.probes.map((probe) =>
        el(
          "li",
          { "data-state": probe.state },
          el("code", {}, probe.tracepoint),
          el("span", { class: "probe-state" }, probe.state),
          probe.detail ? el("span", { class: "hint" }, probe.detail) : null,
        ),
      ),
    ),
  ];
}
