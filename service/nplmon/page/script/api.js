/** Api: requests to the service; whatever goes wrong is a Problem with a remedy. */

/** A refusal of the service, or of the network (`slug` "unreachable"). */
export class Problem extends Error {
  constructor({ slug, title, status = 0, detail = "", field = "", value = null, remedy = "" }) {
    super(detail || title);
    this.name = "Problem";
    Object.assign(this, { slug, title, status, detail, field, value, remedy });
  }
}

const PATIENCE = 20_000;

/**
 * Ask the service. `body` is sent as JSON; null is returned for an empty answer, text for other types than JSON.
 * `signal` gives the request up; `token` is sent along. Throws Problem; where nobody is signed in, the document hears it.
 */
export async function request(method, path, { body, signal, token, patience = PATIENCE } = {}) {
  const late = AbortSignal.timeout(patience);
  let answer;
  try {
    answer = await fetch(path, {
      method,
      headers: {
        ...(body !== undefined && { "Content-Type": "application/json" }),
        ...(token && { Authorization: `Bearer ${token}` }),
      },
      body: body === undefined ? undefined : JSON.stringify(body),
      signal: signal ? AbortSignal.any([signal, late]) : late,
      cache: "no-store",
    });
  } catch (error) {
    if (signal?.aborted) throw error;
    throw new Problem({
      slug: "unreachable",
      title: late.aborted ? "No answer in time" : "The service cannot be reached",
      detail: late.aborted ? `${method} ${path}: no answer in ${patience / 1000} s.` : `${method} ${path} failed.`,
      remedy: "Look whether the service runs and whether this machine reaches it, then try again.",
    });
  }
  const type = answer.headers.get("Content-Type") ?? "";
  if (answer.ok) {
    if (answer.status === 204) return null;
    return type.includes("json") ? answer.json() : answer.text();
  }
  if (answer.status === 401 && !token) document.dispatchEvent(new CustomEvent("signed-out"));
  throw await problem(answer, type, `${method} ${path}`);
}

async function problem(answer, type, asked) {
  const told = type.includes("json") ? await answer.json().catch(() => ({})) : {};
  return new Problem({
    slug: String(told.type ?? "about:blank").replace("/problems/", ""),
    title: told.title ?? `Answer ${answer.status}`,
    status: answer.status,
    detail: told.detail ?? `${asked} was answered with ${answer.status}.`,
    field: told.field ?? "",
    value: told.value ?? null,
    remedy: told.remedy ?? "Report it with the log of the service.",
  });
}

export const api = {
  get: (path, options) => request("GET", path, options),
  post: (path, body, options) => request("POST", path, { ...options, body }),
  remove: (path, options) => request("DELETE", path, options),
};

/** The path of a monitor's part of the interface: `of("dimuon", "runs", "night-1", "close")`. */
export function of(monitor, ...parts) {
  return ["/v1/monitors", monitor, ...parts].map((part, index) => (index ? encodeURIComponent(part) : part)).join("/");
}
