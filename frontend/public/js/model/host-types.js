// SPDX-License-Identifier: Apache-2.0
/** The shapes of what the HTTP API says of hosts, as in types.js: how they are read, what was lost, what it costs. */

/** @typedef {import("../../../api-types.js").Probe} Probe */
/** @typedef {import("../../../api-types.js").Check} Check */
/** @typedef {import("../../../api-types.js").Recording} Recording */
/** @typedef {Omit<Recording, "since">} Recorded how guest faults are recorded one by one */
/** @typedef {import("../../../api-types.js").RecentCost} RecentCost */
/** @typedef {import("../../../api-types.js").Collector} Collector */
/** @typedef {import("../../../api-types.js").Host} Host */
/** @typedef {import("../../../api-types.js").Finding} Finding */
/** @typedef {import("../../../api-types.js").Status} Status */
/** @typedef {import("../../../api-types.js").HostEvent} HostEvent */
/** @typedef {import("../../../api-types.js").HostEventPage} HostEventPage */
/** @typedef {import("../../../api-types.js").LedgerLine} LedgerLine */
/** @typedef {import("../../../api-types.js").VmLedger} VmLedger */
/** @typedef {import("../../../api-types.js").HostBatches} HostBatches */
/** @typedef {import("../../../api-types.js").HostLedger} HostLedger */
/** @typedef {import("../../../api-types.js").Ledger} Ledger */

export {};
