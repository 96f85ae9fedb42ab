// SPDX-License-Identifier: Apache-2.0
/** Logging in with a read token, where the server asks for one. */

import { el, setShown, setText } from "../base/dom.js";
import { createDialog } from "./dialog.js";

/** @param {(token: string) => Promise<string>} logIn resolves to what is wrong, "" where it worked */
export function createLogin(logIn) {
  const input = el("input", {
    type: "password",
    name: "token",
    required: true,
    autofocus: true,
    autocomplete: "current-password",
    spellcheck: "false",
  });
  const problem = el("p", { class: "form-problem", role: "alert", hidden: true });
  const submit = el("button", { type: "submit", class: "button primary" }, "Log in");
  const form = el(
    "form",
    { class: "login" },
    el("p", {}, "This server shows its data only to those who have a read token."),
    el("label", {}, "Read token", input),
    problem,
    submit,
  );
  const dialog = createDialog({ id: "login", title: "Log in", kind: "modal small" }, form);
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    submit.disabled = true;
    const wrong = await logIn(input.value.trim());
    submit.disabled = false;
    setText(problem, wrong);
    setShown(problem, wrong !== "");
    if (wrong) return input.select();
    input.value = "";
    return dialog.close();
  });
  return dialog;
}
