// SPDX-License-Identifier: Apache-2.0
/** Who a guest is, and whether several of its VMs run at once. */

import { countText } from "../base/format.js";
import { dateText } from "../base/time.js";
import { el, keyedList, setAttr, setText } from "../base/dom.js";
import { atOnceTexts } from "../model/guest-events.js";

/** @typedef {import("../model/types.js").GuestDetail} GuestDetail */

const IDENTIFIED = {
  uuid: "its UUID, on every host",
  name: "its name on this host: it has no UUID",
  vm: "nothing that another VM could have, too",
};

/** @param {(event: Event) => void} onBack */
export function createGuestHeader(onBack) {
  const back = el("a", { class: "back", href: "/", click: onBack }, "All VMs");
  const name = el("h1", {});
  const life = el("span", { class: "life-chip" });
  const badge = el("span", { class: "badge" }, "guest");
  const facts = el("dl", { class: "facts" });
  const notes = el("div", { class: "at-once" });
  const root = el(
    "header",
    { class: "vm-header" },
    el("nav", { "aria-label": "Breadcrumb" }, back),
    el("div", { class: "vm-title" }, name, life, badge),
    facts,
    notes,
  );
  const showFacts = keyedList(
    facts,
    (/** @type {[string, string]} */ fact) => fact[0],
    ([term]) => {
      const value = el("dd", {});
      return { root: el("div", {}, el("dt", {}, term), value), update: ([, text]) => setText(value, text) };
    },
  );
  const showNotes = keyedList(
    notes,
    (/** @type {{text: string, isWrong: boolean}} */ note) => note.text,
    ({ text, isWrong }) => ({
      root: el("p", { class: "card-note", role: "note", "data-tone": isWrong ? "warn" : null }, text),
      update: () => undefined,
    }),
  );
  return {
    root,
    /** @param {GuestDetail} guest @param {number} now @param {string} backHref */
    update(guest, now, backHref) {
      setAttr(back, "href", backHref);
      setText(name, guestTitle(guest));
      setText(life, guest.running > 0 ? runningText(guest.running) : "not running");
      setAttr(life, "data-life", guest.running > 0 ? "running" : "ended");
      showFacts([
        ["UUID", guest.uuid || "not known"],
        [guest.hosts.length > 1 ? "Hosts" : "Host", guest.hosts.join(", ")],
        ["Identified by", IDENTIFIED[guest.identified_by]],
        ["First seen", dateText(Date.parse(guest.first_seen))],
        ["Guest id", guest.id],
      ]);
      showNotes(atOnceTexts(guest.at_once, now));
    },
  };
}

/** @param {number} count */
function runningText(count) {
  return count === 1 ? "running" : `${countText(count)} VMs running`;
}

/** @param {Pick<GuestDetail, "name" | "uuid" | "id">} guest */
export function guestTitle({ name, uuid, id }) {
  return name || uuid || `guest ${id}`;
}
