// SPDX-License-Identifier: Apache-2.0
/** One VM as a table's row. */

import { countText, rateText } from "../../base/format.js";
import { el, setAttr, setShown, setText, svg } from "../../base/dom.js";
import { lifeText, vmTitle, vmmBadge } from "../../model/vm.js";

/** @typedef {import("../../model/types.js").Vm} Vm */
/** @typedef {import("../../base/dom.js").Row<VmRow>} Row */

/**
 * @typedef {object} VmRow
 * @property {Vm} vm
 * @property {{line: string, area: string, peak: number}} spark
 * @property {string} href
 * @property {boolean} isTwin whether another on show has its name, and is of its process
 */

/** As many characters of an id as the chart's legend has. */
const ID_LENGTH = 4;

export const SPARK = { width: 132, height: 26 };

/** @type {[string, (vm: Vm) => string][]} */
const RATES = [
  ["rate_at_end", (vm) => rateText(vm.rate_at_end)],
  ["fault_rate", (vm) => rateText(vm.fault_rate)],
];
/** @type {[string, (vm: Vm) => string, (vm: Vm) => number][]} */
const COUNTS = [
  ["faults", (vm) => knownText(vm, vm.faults), () => 0],
  ["memory_fault_exits", (vm) => knownText(vm, vm.memory_fault_exits), (vm) => vm.memory_fault_exits],
  ["exit_rate", (vm) => rateText(vm.exit_rate), () => 0],
  ["bare_error_exits", (vm) => knownText(vm, vm.bare_error_exits), (vm) => vm.bare_error_exits],
  ["unclassified_error_exits", (vm) => knownText(vm, vm.unclassified_error_exits), (vm) => vm.unclassified_error_exits],
];

/**
 * A count of a VM. While its host was not read nothing is known, which is not zero.
 * @param {Vm} vm
 * @param {number} count
 */
function knownText({ fault_rate: rate }, count) {
  return countText(rate === null && count === 0 ? null : count);
}

/** @param {(vm: string) => void} onOpen @returns {Row} */
export function createVmRow(onOpen) {
  const name = createNameCell();
  const spark = createSpark();
  const host = el("td", { class: "col-host" }, el("span", { class: "cut" }));
  const arch = el("td", { class: "col-arch" });
  const number = (/** @type {string} */ column) => el("td", { class: `number col-${column}` });
  const rates = RATES.map(([column]) => number(column));
  const counts = COUNTS.map(([column]) => number(column));
  rates[0]?.classList.add("strong");
  const trend = el("td", { class: "col-trend" }, spark.root);
  const root = el("tr", {}, name.root, host, arch, ...rates, trend, ...counts);
  let id = "";
  // The whole row opens the VM; the link in it is what keys and screen readers use.
  root.addEventListener("click", (event) => {
    const isPlain = !event.ctrlKey && !event.metaKey && !event.shiftKey;
    if (!isPlain || getSelection()?.toString()) return;
    event.preventDefault();
    onOpen(id);
  });
  return {
    root,
    update({ vm, href, spark: shape, isTwin }) {
      id = vm.id;
      name.update(vm, href, isTwin);
      setText(/** @type {Element} */ (host.firstElementChild), vm.host);
      setAttr(host, "title", vm.host);
      setText(arch, vm.arch);
      RATES.forEach(([, text], at) => setText(/** @type {Element} */ (rates[at]), text(vm)));
      COUNTS.forEach(([, text, exits], at) => {
        const cell = /** @type {Element} */ (counts[at]);
        setText(cell, text(vm));
        cell.classList.toggle("has-exits", exits(vm) > 0);
      });
      spark.update(shape);
      root.classList.toggle("ended", !vm.running);
    },
  };
}

function createNameCell() {
  const link = el("a", { class: "vm-name cut" });
  const vmm = el("span", { class: "badge" });
  const manager = el("span", { class: "badge outline" });
  const life = el("span", { class: "life" });
  const detail = el("span", { class: "vm-detail cut" });
  const root = el(
    "td",
    { class: "col-name" },
    el("div", { class: "vm-line" }, link, vmm, manager, life),
    detail,
  );
  return {
    root,
    /** @param {Vm} vm @param {string} href @param {boolean} isTwin */
    update(vm, href, isTwin) {
      setText(link, vmTitle(vm));
      setAttr(link, "href", href);
      setAttr(link, "title", vmTitle(vm));
      setText(vmm, vmmBadge(vm));
      setShown(vmm, vmmBadge(vm) !== "");
      setText(manager, vm.manager);
      setShown(manager, vm.manager !== "");
      setText(life, lifeText(vm));
      setShown(life, !vm.running);
      const id = isTwin ? `id ${vm.id.slice(0, ID_LENGTH)}` : "";
      setText(detail, [`pid ${vm.pid}`, id, vm.name ? vm.uuid : ""].filter(Boolean).join(" · "));
    },
  };
}

function createSpark() {
  const area = svg("path", { class: "spark-area" });
  const line = svg("path", { class: "spark-line" });
  const root = svg(
    "svg",
    {
      class: "spark",
      width: SPARK.width,
      height: SPARK.height,
      viewBox: `0 0 ${SPARK.width} ${SPARK.height}`,
      role: "img",
    },
    area,
    line,
  );
  return {
    root,
    /** @param {VmRow["spark"]} spark */
    update(spark) {
      setAttr(area, "d", spark.area);
      setAttr(line, "d", spark.line);
      const said = spark.line ? `highest ${rateText(spark.peak)} faults per second` : "nothing known";
      setAttr(root, "aria-label", said);
    },
  };
}
