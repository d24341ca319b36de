/**
 * Returns the address of a page, without the parameter `_rsc` that Next.js adds when a
 * script fetches the page for a `Link`. All else stays byte for byte.
 */
export function pageAddress(target: string): string {
  const mark = target.indexOf("?");
  if (mark < 0) return target;
  const kept = target.slice(mark + 1).split("&").filter((each) => !/^_rsc(=|$)/.test(each));
  return target.slice(0, mark) + (kept.length ? `?${kept.join("&")}` : "");
}
