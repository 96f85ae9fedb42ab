// SPDX-License-Identifier: Apache-2.0
/** All VMs: how often they fault, one chart and one table. The server looks for, sorts and adds up all of them. */

import { getVms } from "../../api.js";
import { createFollower } from "../follow.js";
import { createHostNews } from "../host-news.js";
import { createOverviewView } from "./view.js";
import { messageOf, newsOfShown } from "./data.js";

/** @typedef {import("../context.js").Request} Request */
/** @typedef {import("./data.js").Answer} Answer */

const MOST_LINES = 7;
const TREND_POINTS = 60;
/** The small lines are of steps of many seconds. */
const TREND_EVERY_MS = 5000;

/**
 * What the chart can be split by.
 * @type {[string, string][]}
 */
export const SPLITS = [
  ["vm", "VM"],
  ["guest", "guest"],
  ["access", "access"],
  ["level", "level"],
  ["arch", "arch"],
];

/**
 * @param {import("../context.js").Context} context
 * @returns {import("../context.js").Page}
 */
export function createOverview(context) {
  const { state } = context;
  const view = createOverviewView(context, SPLITS);
  const follow = createFollower();
  const hostNews = createHostNews();
  const list = createList();
  /** @type {Answer | null} */
  let answer = null;

  /** @param {Request} request */
  async function load(request) {
    const { range, stepMs, signal } = request;
    const { by: split, filter: search, state: life } = request.view;
    const by = SPLITS.some(([known]) => known === split) ? split : "vm";
    const most = by === "vm" || by === "guest" ? MOST_LINES : undefined;
    const [listed, rates, hosts] = await Promise.all([
      list(request),
      follow(range, { metric: "faults", by, stepMs, search, state: life, most }, signal),
      hostNews(request),
    ]);
    const news = newsOfShown(hosts, { ...listed, rates, request });
    answer = { ...listed, ...news, rates, by, request, status: await request.status };
    show();
  }

  function show() {
    if (!answer) return;
    view.show(answer);
    view.message.update(messageOf(answer, state));
  }

  return {
    root: view.root,
    load,
    show,
    showMessage: (next) => (answer ? undefined : view.message.update(next)),
    title: () => "kvmfaults",
    destroy: view.destroy,
  };
}

function createList() {
  let [question, askedAt] = ["", -Infinity];
  /** @type {Answer["trends"]} */
  let trends = new Map();
  /** @param {Request} request */
  return async ({ view, range, stepMs, now, signal }) => {
    const { sort, filter: search, state } = view;
    const what = { sort, search, state, stepMs, limit: Number(view.rows) };
    const next = JSON.stringify([what, view.span, view.from, view.to]);
    const isDue = next !== question || now - askedAt >= TREND_EVERY_MS;
    const vms = await getVms(range, { ...what, trend: isDue ? TREND_POINTS : 0 }, signal);
    if (isDue) {
      trends = new Map(vms.items.map((vm) => [vm.id, vm.trend]));
      [question, askedAt] = [next, now];
    }
    return { vms, trends };
  };
}
