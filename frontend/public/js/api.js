// SPDX-License-Identifier: Apache-2.0
/** The questions that the server answers, one function each. */

import { request } from "./http.js";

/** @typedef {import("./model/types.js").Range} Range */

/** @param {Range} range */
export function timesOf(range) {
  return { from: new Date(range.from).toISOString(), to: new Date(range.to).toISOString() };
}

/**
 * Such steps, or longer ones where counts so old are no longer kept in such.
 * @param {number} stepMs
 */
export function inSteps(stepMs) {
  return { step: `${stepMs / 1000}s`, coarser: "true" };
}

/** @param {string} vm */
const vmPath = (vm) => `/api/v1/vms/${encodeURIComponent(vm)}`;

/** @param {string} guest */
const guestPath = (guest) => `/api/v1/guests/${encodeURIComponent(guest)}`;

/** @param {AbortSignal} [signal] @returns {Promise<import("./model/host-types.js").Status>} */
export function getStatus(signal) {
  return request("/api/v1/status", {}, { signal });
}

/** @param {AbortSignal} [signal] @returns {Promise<import("./model/storage.js").Storage>} */
export function getStorage(signal) {
  return request("/api/v1/storage", {}, { signal });
}

/**
 * @typedef {object} OverviewQuestion
 * @property {string} by
 * @property {string} sort
 * @property {string} search
 * @property {string} state
 * @property {number} stepMs
 * @property {number} limit of VMs
 * @property {number} [most] of series
 * @property {number} trend
 * @property {string | null} [after] version of the rates of an earlier answer
 */

/**
 * @param {Range} range
 * @param {OverviewQuestion} what
 * @param {AbortSignal} [signal]
 * @returns {Promise<import("./model/types.js").Overview>}
 */
export function getOverview(range, { stepMs, ...what }, signal) {
  return request("/api/v1/overview", { ...what, ...timesOf(range), ...inSteps(stepMs) }, { signal });
}

/**
 * @param {string} vm
 * @param {Range} range
 * @param {number} stepMs
 * @param {AbortSignal} [signal]
 * @returns {Promise<import("./model/types.js").VmDetail>}
 */
export function getVm(vm, range, stepMs, signal) {
  return request(vmPath(vm), { ...timesOf(range), ...inSteps(stepMs) }, { signal });
}

/**
 * @param {string} vm
 * @param {Range} range
 * @param {AbortSignal} [signal]
 * @returns {Promise<import("./model/types.js").Flags>}
 */
export function getFlags(vm, range, signal) {
  return request(`${vmPath(vm)}/flags`, timesOf(range), { signal });
}

/**
 * @param {string} vm
 * @param {Range} range
 * @param {{limit: number, cursor?: string | null}} page
 * @param {AbortSignal} [signal]
 * @returns {Promise<import("./model/types.js").SyndromePage>}
 */
export function getSyndromes(vm, range, page, signal) {
  return request(`${vmPath(vm)}/syndromes`, { ...timesOf(range), ...page }, { signal });
}

/**
 * @param {string} guest
 * @param {Range} range
 * @param {number} stepMs
 * @param {AbortSignal} [signal]
 * @returns {Promise<import("./model/types.js").GuestDetail>}
 */
export function getGuest(guest, range, stepMs, signal) {
  return request(guestPath(guest), { ...timesOf(range), ...inSteps(stepMs) }, { signal });
}

/**
 * A guest with all VMs that it ever had.
 * @param {string} guest
 * @param {AbortSignal} [signal]
 * @returns {Promise<import("./model/types.js").GuestDetail>}
 */
export function getWholeGuest(guest, signal) {
  return request(guestPath(guest), {}, { signal });
}

/**
 * @param {string} guest
 * @param {Range} range
 * @param {AbortSignal} [signal]
 * @returns {Promise<import("./model/types.js").Flags>}
 */
export function getGuestFlags(guest, range, signal) {
  return request(`${guestPath(guest)}/flags`, timesOf(range), { signal });
}

/**
 * @param {string} guest
 * @param {Range} range
 * @param {{limit: number, cursor?: string | null}} page
 * @param {AbortSignal} [signal]
 * @returns {Promise<import("./model/types.js").SyndromePage>}
 */
export function getGuestSyndromes(guest, range, page, signal) {
  return request(`${guestPath(guest)}/syndromes`, { ...timesOf(range), ...page }, { signal });
}

/**
 * VMs of one host, whenever they were.
 * @param {string} host
 * @returns {Promise<import("./model/types.js").VmPage>}
 */
export function getVmsOf(host) {
  return request("/api/v1/vms", { host, limit: 1000, commands: "false" });
}

/**
 * @typedef {object} RatesQuestion
 * @property {string} metric
 * @property {string} by
 * @property {number} stepMs
 * @property {string} [vm]
 * @property {string} [guest]
 * @property {string} [search]
 * @property {string} [state]
 * @property {number} [most]
 * @property {string | null} [after] version of an earlier answer
 */

/**
 * @param {Range} range
 * @param {RatesQuestion} what
 * @param {AbortSignal} [signal]
 * @returns {Promise<import("./model/types.js").Rates>}
 */
export function getRates(range, { stepMs, ...what }, signal) {
  return request("/api/v1/rates", { ...what, ...timesOf(range), ...inSteps(stepMs) }, { signal });
}

/**
 * @param {string} vm
 * @param {Range} range
 * @param {{kind: string, limit: number, cursor?: string | null}} page
 * @param {AbortSignal} [signal]
 * @returns {Promise<import("./model/types.js").ExitPage>}
 */
export function getExits(vm, range, page, signal) {
  return request("/api/v1/exits", { vm, ...timesOf(range), ...page }, { signal });
}

/**
 * @param {string} vm
 * @param {Range} range
 * @param {{limit: number, cursor?: string | null}} page
 * @param {AbortSignal} [signal]
 * @returns {Promise<import("./model/types.js").FaultPage>}
 */
export function getFaults(vm, range, page, signal) {
  return request(`${vmPath(vm)}/faults`, { ...timesOf(range), ...page }, { signal });
}

/**
 * @param {Range} range
 * @param {{stepMs: number, vms: readonly string[], guest?: string}} what every VM where none is named
 * @param {AbortSignal} [signal]
 * @returns {Promise<import("./model/host-types.js").Ledger>}
 */
export function getLedger(range, { stepMs, vms, guest }, signal) {
  return request("/api/v1/ledger", { vm: vms, guest, ...timesOf(range), ...inSteps(stepMs) }, { signal });
}

/**
 * What hosts lost, without the accounts of their VMs.
 * @param {Range} range
 * @param {number} stepMs
 * @param {AbortSignal} [signal]
 * @returns {Promise<import("./model/host-types.js").Ledger>}
 */
export function getHostLosses(range, stepMs, signal) {
  return request(
    "/api/v1/ledger",
    { ...timesOf(range), ...inSteps(stepMs), vms: "false" },
    { signal },
  );
}

/**
 * @param {Range} range
 * @param {{host?: string, limit: number}} what every host where none is named
 * @param {AbortSignal} [signal]
 * @returns {Promise<import("./model/host-types.js").HostEventPage>}
 */
export function getHostEvents(range, { host, limit }, signal) {
  return request("/api/v1/host-events", { host, limit, ...timesOf(range) }, { signal });
}

/**
 * @param {string} body lines with words in them, or a word
 * @returns {Promise<import("./model/types.js").FoundWords>}
 */
export function decodeText(body) {
  return request("/api/v1/decode", {}, { method: "POST", body, headers: { "content-type": "text/plain" } });
}

/**
 * Log in with a read token; the server answers with a session cookie.
 * @param {string} token
 */
export function logIn(token) {
  const body = JSON.stringify({ token });
  return request(
    "/api/v1/session",
    {},
    { method: "POST", body, headers: { "content-type": "application/json" } },
  );
}

/** End the session: the cookie stands for the token no more. */
export function logOut() {
  return request("/api/v1/session", {}, { method: "DELETE" });
}
