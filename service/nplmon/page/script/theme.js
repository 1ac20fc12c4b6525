// Light or dark, before the first paint: the address decides, then what was chosen last, then the system.
// The root has data-theme always; a "theme" event on the document tells when it changes.
(() => {
  const root = document.documentElement;
  const query = new URLSearchParams(location.search);
  const system = matchMedia("(prefers-color-scheme: light)");
  const known = (theme) => theme === "light" || theme === "dark";
  const show = (theme) => {
    if (root.dataset.theme === theme) return;
    root.dataset.theme = theme;
    document.dispatchEvent(new CustomEvent("theme", { detail: theme }));
  };
  let kept = null;
  try {
    kept = localStorage.getItem("nplmon.theme");
  } catch {
    // Storage is forbidden: the system decides.
  }
  let chosen = [query.get("theme"), kept].find(known) ?? null;
  const follow = () => show(chosen ?? (system.matches ? "light" : "dark"));
  system.addEventListener("change", follow);
  document.addEventListener("theme-chosen", ({ detail }) => {
    chosen = detail;
    follow();
  });
  if (query.get("kiosk") === "1") root.dataset.kiosk = "1";
  follow();
})();
