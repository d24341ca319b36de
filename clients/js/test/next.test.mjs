import assert from "node:assert/strict";
import { test } from "node:test";
import { pageAddress } from "../dist/next-address.js";

const ADDRESSES = {
  "/a?_rsc=x": "/a",
  "/a?b=1&_rsc=x": "/a?b=1",
  "/a?_rsc=x&b=%26_rsc=1": "/a?b=%26_rsc=1",
  "/a?b=_rsc=x&&c": "/a?b=_rsc=x&&c",
  "/a?my_rsc=1&_rsc2=2": "/a?my_rsc=1&_rsc2=2",
  "/_rsc=x": "/_rsc=x",
  "/a?": "/a?",
  "/a?b=c?_rsc=1": "/a?b=c?_rsc=1",
};

for (const [target, page] of Object.entries(ADDRESSES)) {
  test(`${target} is the page ${page}`, () => assert.equal(pageAddress(target), page));
}
