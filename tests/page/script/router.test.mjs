import assert from "node:assert/strict";
import { test } from "node:test";

const { href, match } = await import(`${JSON.parse(process.env.PAGE)}/router.js`);

test("every view has its path", () => {
  assert.deepEqual(
    ["/", "/system", "/monitors/a.b-c", "/monitors/m/where", "/monitors/m/alarm"].map((path) => match(path).name),
    ["overview", "system", "monitor", "where", "alarm"],
  );
  assert.equal(match("/monitors/a.b-c").monitor, "a.b-c");
});

test("other paths are none of the page", () => {
  for (const path of ["/docs", "/monitors/", "/monitors/m/x", "/monitors/-m", "/v1/monitors/m"]) {
    assert.equal(match(path), null, path);
  }
});

test("an address keeps kiosk and theme, and leaves out what is empty", () => {
  assert.equal(href("/", {}, "?kiosk=1&run=r"), "/?kiosk=1");
  assert.equal(href("/monitors/m", { run: "r 1", kind: null }, "?theme=light"), "/monitors/m?theme=light&run=r+1");
  assert.equal(href("/", { kiosk: null }, "?kiosk=1"), "/");
});
