/** The table of VMs: sortable, filtered, a small line each. */

import { countText, rateText } from "../base/format.js";
import { parseSort } from "../base/sort.js";
import { el, keyedList, setAttr, setShown, setText, svg } from "../base/dom.js";
import { lifeText, vmTitle, vmmBadge } from "../base/vm.js";

/** @typedef {import("../base/types.js").Vm} Vm */
/** @typedef {import("../base/dom.js").Row<VmRow>} Row */

/**
 * @typedef {object} VmRow
 * @property {Vm} vm
 * @property {number | null} latest faults per second in the newest covered step, null where it has ended
 * @property {{line: string, area: string, peak: number}} spark
 * @property {string} href
 */

export const SPARK = { width: 132, height: 26 };

/** @type {{column: string, label: string, title: string, number: boolean}[]} */
const COLUMNS = [
  { column: "name", label: "VM", title: "Name, kind of VMM, process id and UUID", number: false },
  { column: "host", label: "Host", title: "The host that it runs on", number: false },
  { column: "arch", label: "Arch", title: "Architecture", number: false },
  { column: "latest", label: "", title: "Guest faults per second in the newest covered step", number: true },
  {
    column: "rate",
    label: "Faults/s mean",
    title: "Guest faults per second of covered time in the range",
    number: true,
  },
  {
    column: "",
    label: "Trend",
    title: "Faults per second over the range; each line has its own scale",
    number: false,
  },
  { column: "faults", label: "Faults", title: "Guest faults in the range", number: true },
  {
    column: "exits",
    label: "MF exits",
    title: "Memory-fault exits (KVM_EXIT_MEMORY_FAULT) in the range",
    number: true,
  },
  {
    column: "exit_rate",
    label: "MF exits/s",
    title: "Memory-fault exits per second of covered time",
    number: true,
  },
  {
    column: "bare",
    label: "Bare errors",
    title: "KVM_RUN failed with EFAULT and no annotated exit",
    number: true,
  },
  {
    column: "untold",
    label: "Unclassified",
    title: "Error exits of a recording that does not show the reason: memory-fault exits or bare errors",
    number: true,
  },
];

/**
 * @param {object} options
 * @param {(column: string) => void} options.onSort
 * @param {(vm: string) => void} options.onOpen
 */
export function createVmTable({ onSort, onOpen }) {
  const body = el("tbody", {});
  const heads = COLUMNS.map((column) => headCell(column, onSort));
  const latest = COLUMNS.findIndex(({ column }) => column === "latest");
  const empty = el("p", { class: "empty-note" });
  const root = el(
    "div",
    { class: "table-scroll" },
    el(
      "table",
      { class: "data vms", "aria-label": "Virtual machines" },
      el("thead", {}, el("tr", {}, ...heads)),
      body,
    ),
    empty,
  );
  let now = 0;
  const show = keyedList(
    body,
    (/** @type {VmRow} */ row) => row.vm.id,
    () => createRow(onOpen, () => now),
  );
  return {
    root,
    /**
     * @param {VmRow[]} rows in the order to show
     * @param {object} about
     * @param {string} about.sort
     * @param {number} about.now
     * @param {boolean} about.isFiltered there are VMs beside these
     * @param {string} about.latestLabel what the newest rate is called
     */
    update(rows, about) {
      now = about.now;
      const sort = parseSort(about.sort);
      setText(empty, about.isFiltered ? "No VM matches the filter." : "No VM is known in this range.");
      setShown(empty, rows.length === 0);
      setText(/** @type {Element} */ (heads[latest]?.firstElementChild), about.latestLabel);
      COLUMNS.forEach(({ column }, at) => {
        const isSorted = column !== "" && column === sort.column;
        setAttr(
          /** @type {Element} */ (heads[at]),
          "aria-sort",
          column === "" ? null : isSorted ? (sort.descending ? "descending" : "ascending") : "none",
        );
      });
      show(rows);
    },
  };
}

/** @param {typeof COLUMNS[number]} column @param {(column: string) => void} onSort */
function headCell({ column, label, title, number }, onSort) {
  const name = column === "" ? label : el("button", { type: "button", click: () => onSort(column) }, label);
  return el("th", { scope: "col", class: `col-${column || "trend"}${number ? " number" : ""}`, title }, name);
}

/** @param {(vm: string) => void} onOpen @param {() => number} now @returns {Row} */
function createRow(onOpen, now) {
  const name = createNameCell();
  const spark = createSpark();
  const texts = ["host", "arch"].map((column) => el("td", { class: `col-${column}` }));
  const latest = el("td", { class: "number strong col-latest" });
  const [rate, faults, exits, exitRate, bare, untold] = [
    number("rate"),
    number("faults"),
    number("exits"),
    number("exit_rate"),
    number("bare"),
    number("untold"),
  ];
  const root = el(
    "tr",
    {},
    name.root,
    ...texts,
    latest,
    rate,
    el("td", { class: "col-trend" }, spark.root),
    faults,
    exits,
    exitRate,
    bare,
    untold,
  );
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
    update(next) {
      const { vm, href } = next;
      id = vm.id;
      name.update(vm, href, now());
      [vm.host, vm.arch].forEach((text, at) => setText(/** @type {Element} */ (texts[at]), text));
      setText(latest, rateText(next.latest));
      setText(rate, rateText(vm.fault_rate));
      setText(faults, countText(vm.faults));
      setText(exits, countText(vm.memory_fault_exits));
      setText(exitRate, rateText(vm.exit_rate));
      setText(bare, countText(vm.bare_error_exits));
      setText(untold, countText(vm.untold_error_exits));
      exits.classList.toggle("has-exits", vm.memory_fault_exits > 0);
      bare.classList.toggle("has-exits", vm.bare_error_exits > 0);
      untold.classList.toggle("has-exits", vm.untold_error_exits > 0);
      spark.update(next.spark);
      root.classList.toggle("ended", vm.ended_at !== null);
    },
  };
}

const number = (/** @type {string} */ column) => el("td", { class: `number col-${column}` });

function createNameCell() {
  const link = el("a", { class: "vm-name" });
  const vmm = el("span", { class: "badge" });
  const manager = el("span", { class: "badge outline" });
  const life = el("span", { class: "life" });
  const detail = el("span", { class: "vm-detail" });
  const root = el(
    "td",
    { class: "col-name" },
    el("div", { class: "vm-line" }, link, vmm, manager, life),
    detail,
  );
  return {
    root,
    /** @param {Vm} vm @param {string} href @param {number} now */
    update(vm, href, now) {
      setText(link, vmTitle(vm));
      setAttr(link, "href", href);
      setText(vmm, vmmBadge(vm));
      setShown(vmm, vmmBadge(vm) !== "");
      setText(manager, vm.manager);
      setShown(manager, vm.manager !== "");
      setText(life, lifeText(vm, now));
      setShown(life, vm.ended_at !== null);
      setText(detail, [`pid ${vm.pid}`, vm.name ? vm.uuid : ""].filter(Boolean).join(" · "));
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
      setAttr(
        root,
        "aria-label",
        spark.line ? `highest ${rateText(spark.peak)} faults per second` : "not covered, or one of too many",
      );
    },
  };
}
