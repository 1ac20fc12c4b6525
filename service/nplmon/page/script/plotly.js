/** Plotly: loads the library once, when the first plot is needed, in a way that the page's strict policy allows. */

const RULES = "plotly.js-style-global";
let loading = null;

/** Load plotly and give it; throws when the service does not answer. A failure may be tried again. */
export function plotly() {
  loading ??= load().catch((error) => {
    loading = null;
    throw error;
  });
  return loading;
}

async function load() {
  if (globalThis.Plotly) return globalThis.Plotly;
  await styled();
  // A part that draws maps, which are not used here, brings a style sheet of its own; the policy would refuse it loudly.
  const make = document.createElement;
  document.createElement = (tag, options) => make.call(document, tag === "style" ? "template" : tag, options);
  try {
    await script(document.documentElement.dataset.plotly ?? "/page/plotly.min.js");
  } finally {
    delete document.createElement;
  }
  return globalThis.Plotly;
}

/**
 * Plotly inserts its rules into the sheet of the element with this name. The policy allows that for a sheet that came
 * from the service, and not for one that a script made.
 */
async function styled() {
  if (document.getElementById(RULES)) return;
  const link = document.querySelector('link[href*="/style/plots.css"]');
  if (!link) throw new Error("The page has no style sheet for plots.");
  if (!link.sheet) await new Promise((resolve) => link.addEventListener("load", resolve, { once: true }));
  link.id = RULES;
}

function script(address) {
  return new Promise((resolve, reject) => {
    const element = document.createElement("script");
    element.src = address;
    element.charset = "utf-8";
    element.addEventListener("load", resolve);
    element.addEventListener("error", () => {
      element.remove();
      reject(new Error("The plotting library could not be loaded from the service."));
    });
    document.head.append(element);
  });
}
