/** App: puts the views, the live tiles and the frame together. */

import { api } from "./api.js";
import { h, put } from "./element.js";
import { Frame } from "./frame.js";
import { Live } from "./live.js";
import { Router, href } from "./router.js";
import { Shortcuts } from "./shortcuts.js";
import { SignIn } from "./sign-in.js";

const TITLES = { overview: "", system: "System", monitor: "", where: "where", alarm: "alarm" };

const root = document.getElementById("content");
const live = new Live({ api });
const router = new Router(show);
const shortcuts = new Shortcuts(router);
const frame = new Frame(live, { help: () => shortcuts.show() });
document.querySelector(".instruments").prepend(new SignIn(live).element);

let shown = null;
let turn = 0;

async function show(route, query, { same }) {
  if (same && shown?.view.change) {
    shown.view.change(query);
    return;
  }
  const mine = ++turn;
  if (!route) {
    leave();
    frame.showing("", "no such page");
    const overview = h("p", { class: "empty" }, "There is no such page. ", h("a", { href: href("/") }, "To the overview"));
    put(root, h("h1", { class: "unseen" }, "No such page"), overview);
    return;
  }
  let module;
  try {
    module = await route.load();
  } catch {
    if (mine === turn) {
      leave();
      put(root, h("p", { class: "empty" }, "This view could not be loaded. Reload the page once the service answers."));
    }
    return;
  }
  // Somebody was quicker: a later move has taken the place of this one.
  if (mine !== turn) return;
  const moved = shown !== null && !same;
  leave();
  put(root);
  root.className = `view ${route.name}`;
  const { monitor } = route;
  const navigate = (path, parameters, options) => router.navigate(path, parameters, options);
  shown = { monitor, view: module.view(root, { query, navigate, live, api, monitor }) };
  shown.view.update?.(monitor === null ? null : (live.tiles.get(monitor) ?? null));
  frame.showing(route.name, [monitor, TITLES[route.name]].filter(Boolean).join(" "));
  if (moved) {
    root.focus({ preventScroll: true });
    scrollTo(0, 0);
  }
}

function leave() {
  shown?.view.close?.();
  shown = null;
  root.className = "";
}

live.addEventListener("tile", ({ detail }) => shown?.monitor === detail.monitor && shown.view.update?.(detail));
live.addEventListener("gone", ({ detail }) => shown?.monitor === detail.monitor && shown.view.update?.(null));
live.addEventListener("tiles", () => shown?.monitor && shown.view.update?.(live.tiles.get(shown.monitor) ?? null));

live.start();
router.start();
