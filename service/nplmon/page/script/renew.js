/** Renew: puts new content in the place of old, and leaves alone what stays the same: selections and focus survive. */

import { h } from "./element.js";

/** Make `root` hold `children`: what differs is replaced, down to the elements that do. */
export function renew(root, ...children) {
  const wanted = h("div", {}, ...children);
  match(root, [...wanted.childNodes]);
  return root;
}

function match(root, wanted) {
  const present = [...root.childNodes];
  wanted.forEach((node, place) => {
    const there = present[place];
    if (there === undefined) root.append(node);
    else if (there.isEqualNode(node)) return;
    else if (alike(there, node)) match(there, [...node.childNodes]);
    else there.replaceWith(node);
  });
  present.slice(wanted.length).forEach((node) => node.remove());
}

/** Elements that differ in their children alone. */
function alike(one, other) {
  return (
    one.nodeType === Node.ELEMENT_NODE &&
    one.cloneNode(false).isEqualNode(other.cloneNode(false)) &&
    !holdsControls(one)
  );
}

/** Listeners are no part of what is compared: what holds controls is replaced as a whole. */
function holdsControls(element) {
  return element.querySelector("button, input, select") !== null;
}
