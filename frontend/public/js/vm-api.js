// SPDX-License-Identifier: Apache-2.0
/** The questions of a VM's page that only some of its cards ask. */

import { inSteps, timesOf } from "./api.js";
import { request } from "./http.js";

/** @typedef {import("./model/types.js").Range} Range */

/**
 * @param {string} vm
 * @param {Range} range
 * @param {AbortSignal} [signal]
 * @returns {Promise<import("./model/types.js").Stalls>}
 */
export function getStalls(vm, range, signal) {
  return request("/api/v1/stall", { vm, ...timesOf(range) }, { signal });
}

/**
 * @param {string} vm
 * @param {Range} range
 * @param {number} stepMs
 * @param {AbortSignal} [signal]
 * @returns {Promise<import("./model/types.js").StallHeat>}
 */
export function getStallHeat(vm, range, stepMs, signal) {
  return request("/api/v1/stall/heat", { vm, ...timesOf(range), ...inSteps(stepMs) }, { signal });
}

/**
 * @param {string} vm
 * @param {Range} range
 * @param {AbortSignal} [signal]
 * @returns {Promise<import("./model/types.js").Outcomes>}
 */
export function getOutcomes(vm, range, signal) {
  return request("/api/v1/outcomes", { vm, ...timesOf(range) }, { signal });
}

/**
 * @param {string} vm
 * @param {Range} range
 * @param {AbortSignal} [signal]
 * @returns {Promise<import("./model/types.js").MemslotPage>}
 */
export function getMemslots(vm, range, signal) {
  return request("/api/v1/memslots", { vm, ...timesOf(range) }, { signal });
}

/**
 * @param {string} vm
 * @param {Range} range
 * @param {AbortSignal} [signal]
 * @returns {Promise<import("./model/types.js").LivelockPage>}
 */
export function getLivelocks(vm, range, signal) {
  return request("/api/v1/livelocks", { vm, ...timesOf(range) }, { signal });
}

/**
 * Of now, whatever the range.
 * @param {string} vm
 * @param {AbortSignal} [signal]
 * @returns {Promise<import("./model/types.js").OutstandingPage>}
 */
export function getOutstanding(vm, signal) {
  return request("/api/v1/outstanding", { vm }, { signal });
}

/**
 * @param {string} vm
 * @param {Range} range
 * @param {AbortSignal} [signal]
 * @returns {Promise<import("./model/types.js").KvmStats>}
 */
export function getKvmStats(vm, range, signal) {
  return request("/api/v1/kvm-stats", { vm, ...timesOf(range) }, { signal });
}

/** @param {string} vm */
const recordPath = (vm) => `/api/v1/vms/${encodeURIComponent(vm)}/record`;

/**
 * Requests to record every fault of a VM, newest first.
 * @param {string} vm
 * @param {AbortSignal} [signal]
 * @returns {Promise<import("./model/types.js").RecordRequests>}
 */
export function getRecordRequests(vm, signal) {
  return request(recordPath(vm), {}, { signal });
}

/**
 * Have every fault of a VM recorded from now on.
 * @param {string} vm
 * @param {number} seconds
 * @returns {Promise<import("./model/types.js").RecordRequest>}
 */
export function recordVm(vm, seconds) {
  const body = JSON.stringify({ seconds });
  return request(recordPath(vm), {}, { method: "POST", body, headers: { "content-type": "application/json" } });
}

/**
 * @param {string} vm
 * @param {string} name of the request
 * @returns {Promise<import("./model/types.js").RecordRequest>}
 */
export function withdrawRecordRequest(vm, name) {
  return request(`${recordPath(vm)}/${encodeURIComponent(name)}`, {}, { method: "DELETE" });
}

/**
 * @param {string} vm
 * @param {Range} range
 * @param {AbortSignal} [signal]
 * @returns {Promise<import("./model/types.js").Waits>}
 */
export function getWaits(vm, range, signal) {
  return request("/api/v1/waits", { vm, ...timesOf(range) }, { signal });
}

/**
 * @param {string} vm
 * @param {Range} range
 * @param {number} stepMs
 * @param {AbortSignal} [signal]
 * @returns {Promise<import("./model/types.js").WaitSeries>}
 */
export function getWaitSeries(vm, range, stepMs, signal) {
  return request("/api/v1/waits/series", { vm, ...timesOf(range), ...inSteps(stepMs) }, { signal });
}

/**
 * @param {string} vm
 * @param {Range} range
 * @param {AbortSignal} [signal]
 * @returns {Promise<import("./model/types.js").Pressures>}
 */
export function getPressure(vm, range, signal) {
  return request("/api/v1/pressure", { vm, ...timesOf(range) }, { signal });
}

/**
 * @param {string} vm
 * @param {Range} range
 * @param {number} stepMs
 * @param {AbortSignal} [signal]
 * @returns {Promise<import("./model/types.js").PressureSeries>}
 */
export function getPressureSeries(vm, range, stepMs, signal) {
  return request("/api/v1/pressure/series", { vm, ...timesOf(range), ...inSteps(stepMs) }, { signal });
}

/**
 * @param {{vm: string} | {search: string, state: string}} chosen one VM, or all that are found so
 * @param {Range} range
 * @param {AbortSignal} [signal]
 * @returns {Promise<import("./model/types.js").Causes>}
 */
export function getCauses(chosen, range, signal) {
  return request("/api/v1/causes", { ...chosen, ...timesOf(range) }, { signal });
}
