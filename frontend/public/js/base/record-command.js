/** The command that has every fault of a VM recorded for a while. */

/**
 * @param {Pick<import("./types.js").Vm, "name" | "id">} vm by name where it has one, else by its id
 */
export function recordCommand({ name, id }) {
  return `kvmfaults-collector record ${quoted(name || id)} --for 60`;
}

// As a shell reads one word.
/** @param {string} text */
function quoted(text) {
  return /^[\w@%+=:,./-]+$/.test(text) && !text.startsWith("-") ? text : `'${text.replaceAll("'", "'\\''")}'`;
}
