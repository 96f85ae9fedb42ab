// SPDX-License-Identifier: Apache-2.0
/** Who a VM is. */

import { agoText, dateText } from "../base/time.js";
import { el, setAttr, setChildren, setShown, setText } from "../base/dom.js";
import { lifeText, vmTitle, vmmBadge } from "../model/vm.js";

/** @typedef {import("../model/types.js").Vm} Vm */

/**
 * @param {(event: Event) => void} onBack
 * @param {(event: Event) => void} onGuest
 */
export function createVmHeader(onBack, onGuest) {
  const back = el("a", { class: "back", href: "/", click: onBack }, "All VMs");
  const name = el("h1", {});
  const badges = el("span", { class: "badges" });
  const life = el("span", { class: "life-chip" });
  const facts = el("dl", { class: "facts" });
  const guest = el("a", { class: "to-guest", click: onGuest }, "Its guest, with all VMs");
  const command = el("code", { class: "command" });
  const fold = el("details", { class: "fold" }, el("summary", {}, "Command line"), command);
  const root = el(
    "header",
    { class: "vm-header" },
    el("nav", { "aria-label": "Breadcrumb" }, back),
    el("div", { class: "vm-title" }, name, life, badges, guest),
    facts,
    fold,
  );
  return {
    root,
    /** @param {Vm} vm @param {number} now @param {{back: string, guest: string}} hrefs */
    update(vm, now, hrefs) {
      setAttr(back, "href", hrefs.back);
      setAttr(guest, "href", hrefs.guest);
      setShown(guest, vm.guest !== "");
      setText(name, vmTitle(vm));
      setText(life, lifeText(vm));
      setAttr(life, "data-life", vm.running ? "running" : "ended");
      setChildren(
        badges,
        ...[vmmBadge(vm), vm.manager].filter(Boolean).map((text) => el("span", { class: "badge" }, text)),
      );
      showFacts(facts, vm, now);
      setText(command, vm.command);
      setShown(fold, vm.command !== "");
    },
  };
}

/** @param {HTMLElement} list @param {Vm} vm @param {number} now */
function showFacts(list, vm, now) {
  const started = Date.parse(vm.started_at);
  const ended = vm.ended_at === null ? null : Date.parse(vm.ended_at);
  /** @type {[string, string, string][]} */
  const facts = [
    ["UUID", vm.uuid || "not known", ""],
    ["Host", vm.host, ""],
    ["Architecture", vm.arch, ""],
    ["Process id", String(vm.pid), ""],
    ["Started", `${dateText(started)} (${agoText(started, now)})`, vm.started_at],
  ];
  if (ended !== null) facts.push(["Ended", dateText(ended), vm.ended_at ?? ""]);
  facts.push(["VM id", vm.id, "One struct kvm on one boot of one host"]);
  // Only the changing text is touched, so that a UUID can be selected and copied.
  facts.forEach(([term, text, title], at) => {
    const known = list.children[at];
    const [label, value] = known ? [known.children[0], known.children[1]] : [el("dt", {}), el("dd", {})];
    if (!label || !value) return;
    if (!known) list.append(el("div", {}, label, value));
    setText(label, term);
    setText(value, text);
    setAttr(value, "title", title || null);
  });
  while (list.children.length > facts.length) list.lastElementChild?.remove();
}
