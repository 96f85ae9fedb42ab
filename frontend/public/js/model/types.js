// SPDX-License-Identifier: Apache-2.0
/**
 * The shapes of the HTTP API that the page reads. Types only: nothing runs here.
 * They are made of the API's own description, see frontend/api-types.d.ts; here is what the page calls them.
 */

/** @typedef {import("../../../api-types.js").ListedVm} ListedVm */
/** @typedef {import("../../../api-types.js").VmTotals} VmTotals */
/** @typedef {import("../../../api-types.js").Vcpu} Vcpu */
/** @typedef {import("../../../api-types.js").ExitReason} ExitReason */
/** @typedef {import("../../../api-types.js").VmDetail} VmDetail */
/** @typedef {import("../../../api-types.js").GuestDetail} GuestDetail */
/** @typedef {import("../../../api-types.js").GuestEvent} GuestEvent */
/** @typedef {import("../../../api-types.js").VmsAtOnce} VmsAtOnce */
/** @typedef {import("../../../api-types.js").Series} Series */
/** @typedef {import("../../../api-types.js").OtherSeries} OtherSeries */
/** @typedef {import("../../../api-types.js").CoveredSpan} Span */
/** @typedef {import("../../../api-types.js").Rates} Rates */
/** @typedef {import("../../../api-types.js").FlagCount} FlagCount */
/** @typedef {import("../../../api-types.js").Flags} Flags */
/** @typedef {import("../../../api-types.js").WordField} WordField */
/** @typedef {import("../../../api-types.js").Decoded} DecodedWord */
/** @typedef {import("../../../api-types.js").Syndrome} Syndrome */
/** @typedef {import("../../../api-types.js").Syndromes} SyndromePage */
/** @typedef {import("../../../api-types.js").FoundWord} FoundWord */
/** @typedef {import("../../../api-types.js").FoundWords} FoundWords */
/** @typedef {import("../../../api-types.js").RawSyndrome} RawSyndrome */
/** @typedef {import("../../../api-types.js").Exit} Exit */
/** @typedef {import("../../../api-types.js").ExitPage} ExitPage */
/** @typedef {import("../../../api-types.js").Fault} Fault */
/** @typedef {import("../../../api-types.js").FaultPage} FaultPage */
/** @typedef {import("../../../api-types.js").RecordRequest} RecordRequest */
/** @typedef {import("../../../api-types.js").RecordRequests} RecordRequests */
/** @typedef {import("../../../api-types.js").VmPage & {totals: VmTotals}} VmPage the page always asks for totals */
/** @typedef {import("../../../api-types.js").Stalls} Stalls */
/** @typedef {import("../../../api-types.js").StallHeat} StallHeat */
/** @typedef {import("../../../api-types.js").EndedFaults} EndedFaults */
/** @typedef {import("../../../api-types.js").Outcomes} Outcomes */
/** @typedef {import("../../../api-types.js").Wait} Wait */
/** @typedef {import("../../../api-types.js").Waits} Waits */
/** @typedef {import("../../../api-types.js").WaitSeries} WaitSeries */
/** @typedef {import("../../../api-types.js").VmPressure} VmPressure */
/** @typedef {import("../../../api-types.js").Pressures} Pressures */
/** @typedef {import("../../../api-types.js").PressureSeries} PressureSeries */
/** @typedef {import("../../../api-types.js").CauseOfExits} CauseOfExits */
/** @typedef {import("../../../api-types.js").Causes} Causes */
/** @typedef {import("../../../api-types.js").Memslot} Memslot */
/** @typedef {import("../../../api-types.js").MemslotPage} MemslotPage */
/** @typedef {import("../../../api-types.js").Livelock} Livelock */
/** @typedef {import("../../../api-types.js").LivelockPage} LivelockPage */
/** @typedef {import("../../../api-types.js").Outstanding} Outstanding */
/** @typedef {import("../../../api-types.js").OutstandingPage} OutstandingPage */
/** @typedef {import("../../../api-types.js").StalledNow} StalledNow */
/** @typedef {import("../../../api-types.js").KvmStats} KvmStats */
/** @typedef {import("../../../api-types.js").VmKvmStats} VmKvmStats */
/** @typedef {import("../../../api-types.js").Overview & {vms: VmPage}} Overview */

/** @typedef {Omit<ListedVm, "trend">} Vm what a VM of a list and a VM alone have in common */

/** @typedef {{from: number, to: number}} Range half-open, UTC milliseconds */

export {};
