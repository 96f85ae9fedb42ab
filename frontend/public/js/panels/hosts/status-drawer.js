// SPDX-License-Identifier: Apache-2.0
/** The collectors in full: each host, and what changed how they are read. */

import { newLosses, newLossesOf } from "../../model/acknowledged.js";
import { el, setChildren, setShown, setText } from "../../base/dom.js";
import { plural } from "../../base/format.js";
import { agoText } from "../../base/time.js";
import { createDialog } from "../dialog.js";
import { createEventList } from "./event-list.js";
import { createFindingList } from "./finding-list.js";
import { hostCard } from "./host-card.js";
import { createStorageTable } from "./storage-table.js";

/** @typedef {import("../../model/host-types.js").Host} Host */
/** @typedef {import("../../model/host-types.js").Status} Status */

/**
 * @typedef {object} Detail what is asked for only while the drawer is open
 * @property {Map<string, import("../../model/host-types.js").HostBatches>} batches by host
 * @property {import("../../model/host-events.js").ReadEvent[]} events
 * @property {boolean} hasMoreEvents
 * @property {import("../../model/storage.js").Storage} storage
 */

/**
 * @param {object} options
 * @param {() => void} options.onOpen
 * @param {() => void} options.onAcknowledge the losses on show were seen
 * @param {() => void} options.onLogOut
 * @param {(host: Host) => void} options.onShow the time of a recording is to be shown
 */
export function createStatusDrawer({ onOpen, onAcknowledge, onLogOut, onShow }) {
  const server = el("p", { class: "hint" });
  const acknowledge = el(
    "button",
    { type: "button", class: "button", click: onAcknowledge, hidden: true },
    "I have seen these losses",
  );
  const logOut = el("button", { type: "button", class: "button", click: onLogOut, hidden: true }, "Log out");
  const hosts = el("div", { class: "hosts" }, el("p", { class: "hint" }, "Asking the server."));
  const recordings = el("p", { class: "hint", hidden: true });
  const events = createEventList();
  const findings = createFindingList();
  const storage = createStorageTable();
  const dialog = createDialog(
    { id: "status", title: "Collectors", kind: "drawer" },
    server,
    el("div", { class: "actions" }, acknowledge, logOut),
    findings.root,
    hosts,
    recordings,
    storage.root,
    events.root,
  );
  /** @type {Node[] | null} as last shown; null before the first time */
  let shown = null;

  function open() {
    dialog.open();
    onOpen();
  }

  return {
    root: dialog.root,
    open,
    openEvents() {
      open();
      events.focus();
    },
    isOpen: () => dialog.root.open,
    /** @param {Status} status @param {Detail | null} detail null while the drawer is closed @param {number} now */
    update(status, detail, now) {
      const since = agoText(Date.parse(status.started_at), now);
      setText(
        server,
        `Server ${status.version} on ${status.database}, started ${since}. ` +
          (status.ready ? "Ready." : `Not ready: ${status.missing}.`),
      );
      findings.update(status.findings, status.findings_left_out, now);
      setText(recordings, recordingsText(status.recordings_left_out));
      setShown(recordings, status.recordings_left_out > 0);
      setShown(logOut, status.asks_for_token);
      setShown(acknowledge, newLosses(status.hosts) > 0);
      if (!detail) return;
      storage.update(detail.storage, now);
      events.update(detail.events, detail.hasMoreEvents);
      // Rebuilt only where something else is said, so that text in it can be selected.
      const cards = status.hosts.map((host) =>
        hostCard(host, {
          batches: detail.batches.get(host.name) ?? null,
          newlyLost: newLossesOf(host),
          now,
          onShow: () => (dialog.close(), onShow(host)),
        }),
      );
      const last = shown;
      if (last?.length === cards.length && cards.every((card, i) => card.isEqualNode(last[i] ?? null))) return;
      shown = cards.map((card) => card.cloneNode(true));
      setChildren(hosts, ...(cards.length > 0 ? cards : [noHost()]));
    },
  };
}

/** @param {number} count how many more recordings there are */
function recordingsText(count) {
  return `and ${plural(count, "more recording")}; those listed were heard of last`;
}

function noHost() {
  return el(
    "p",
    {},
    "No collector has ever sent anything to this server. Start one, or start the server together with one: script/server.",
  );
}
