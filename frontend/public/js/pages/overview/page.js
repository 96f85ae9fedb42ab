// SPDX-License-Identifier: Apache-2.0
/** All VMs: how often they fault, one chart and one table. The server looks for, sorts and adds up all of them. */

import { getOverview } from "../../api.js";
import { createFollowerOf } from "../follow.js";
import { createHostNews } from "../host-news.js";
import { createExitQuestion } from "./exits.js";
import { createOverviewView } from "./view.js";
import { messageOf, newsOfShown } from "./data.js";

/** @typedef {import("../context.js").Question} Question */
/** @typedef {import("../context.js").Request} Request */
/** @typedef {import("./data.js").Answer} Answer */
/** @typedef {import("../../model/types.js").Overview} Overview */

const MOST_LINES = 7;
const TREND_POINTS = 60;

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
  const follow = createFollowerOf(getOverview);
  const hostNews = createHostNews();
  const askExits = createExitQuestion();
  /** @type {Answer | null} */
  let answer = null;
  /** @param {Question} question */
  function ask({ view, range, stepMs, signal }) {
    const by = splitOf(view);
    const most = by === "vm" || by === "guest" ? MOST_LINES : undefined;
    const { sort, filter: search, state } = view;
    const what = { by, most, sort, search, state, stepMs, limit: Number(view.rows), trend: TREND_POINTS };
    return follow(range, what, signal);
  }

  /** @param {Request} request @param {Promise<Overview>} [asked] */
  async function load(request, asked) {
    const overview = asked ?? ask(request);
    const exitsAsked = overview.then((found) => askExits(found, request));
    const [found, hosts, exits] = await Promise.all([overview, hostNews(request), exitsAsked]);
    answer = { ...found, ...newsOfShown(hosts, { ...found, request }), exits, by: splitOf(request.view), request };
    show();
  }

  function show() {
    if (!answer) return;
    view.show(answer);
    view.message.update(messageOf(answer, state));
  }

  return {
    root: view.root,
    ask,
    load,
    show,
    showMessage: (next) => (answer ? undefined : view.message.update(next)),
    title: () => "kvmfaults",
    destroy: view.destroy,
  };
}

/** @param {import("../../state.js").View} view */
function splitOf({ by }) {
  return SPLITS.some(([known]) => known === by) ? by : "vm";
}
