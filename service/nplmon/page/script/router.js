/**
 * Router: which view a path shows, and moves between views without loading the page anew.
 *
 * A view is a module with `view(root, context)`, which fills `root` and returns `{update(tile), close(), change(query)}`:
 * `update`, with the tile of its monitor, or null, whenever that tile changes; `close` when another view takes its
 * place; `change` (may be absent) when the query of the same path changes: without it, the view is made anew.
 */

const NAME = "([A-Za-z0-9][A-Za-z0-9._-]{0,127})";

export const ROUTES = [
  { name: "overview", pattern: /^\/$/, load: () => import("./overview.js") },
  { name: "system", pattern: /^\/system$/, load: () => import("./system.js") },
  { name: "monitor", pattern: new RegExp(`^/monitors/${NAME}$`), load: () => import("./monitor.js") },
  { name: "where", pattern: new RegExp(`^/monitors/${NAME}/where$`), load: () => import("./where.js") },
  { name: "alarm", pattern: new RegExp(`^/monitors/${NAME}/alarm$`), load: () => import("./alarm.js") },
];

/** Of the query, what a move to another view takes along. */
const KEPT = ["kiosk", "theme"];

/** Find the route of a path: `{name, load, monitor}`, or null. */
export function match(path) {
  for (const route of ROUTES) {
    const found = route.pattern.exec(path);
    if (found) return { ...route, monitor: found[1] ?? null };
  }
  return null;
}

/** Give the address of a view: `href("/monitors/dimuon", {run: "night-1"})`; what is null or "" is left out. */
export function href(path, query = {}, from = location.search) {
  const parameters = new URLSearchParams();
  const present = new URLSearchParams(from);
  for (const name of KEPT) if (present.has(name)) parameters.set(name, present.get(name));
  for (const [name, value] of Object.entries(query)) {
    if (value === null || value === undefined || value === "") parameters.delete(name);
    else parameters.set(name, value);
  }
  const text = parameters.toString();
  return text ? `${path}?${text}` : path;
}

/** Follows the address and tells `show(route, query, {same})`; `same` says that only the query changed. */
export class Router {
  constructor(show) {
    this.show = show;
    this.path = null;
  }

  start() {
    addEventListener("popstate", () => this.follow());
    document.addEventListener("click", (event) => this.#click(event));
    this.follow();
  }

  /** Go to a view. `replace` leaves no entry in the history: for changes that nobody wants to go back through. */
  navigate(path, query = {}, { replace = false } = {}) {
    const address = href(path, query);
    if (address === location.pathname + location.search) return;
    history[replace ? "replaceState" : "pushState"](null, "", address);
    this.follow();
  }

  follow() {
    const same = this.path === location.pathname;
    this.path = location.pathname;
    this.show(match(this.path), Object.fromEntries(new URLSearchParams(location.search)), { same });
  }

  #click(event) {
    const link = event.target.closest?.("a[href]");
    if (!link || event.defaultPrevented || event.button || event.metaKey || event.ctrlKey || event.shiftKey) return;
    if (link.target || link.hasAttribute("download") || link.origin !== location.origin) return;
    if (link.hash && link.pathname === location.pathname) return;
    if (!match(link.pathname)) return;
    event.preventDefault();
    this.navigate(link.pathname, Object.fromEntries(new URLSearchParams(link.search)));
  }
}
