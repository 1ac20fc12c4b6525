/** Download: gives a file to the person at the page; nothing leaves the machine. */

/** Save text or a data address under a name. */
export function save(name, content, type = "text/plain;charset=utf-8") {
  const given = content.startsWith("data:image/");
  const address = given ? content : URL.createObjectURL(new Blob([content], { type }));
  const link = document.createElement("a");
  link.href = address;
  link.download = name;
  link.hidden = true;
  document.body.append(link);
  link.click();
  link.remove();
  if (!given) setTimeout(() => URL.revokeObjectURL(address), 10_000);
}

/** A name for a file: what is not a letter, a digit, "." or "_" becomes "-". */
export function fileName(...parts) {
  return parts
    .filter((part) => part !== null && part !== undefined && part !== "")
    .map((part) => String(part).replaceAll(/[^A-Za-z0-9._]+/g, "-"))
    .join("_");
}
