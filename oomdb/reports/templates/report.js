"use strict";
// The page is complete without this script: it scrolls charts to the newest run, and makes controls to sort and filter.
for (const scroller of document.querySelectorAll("figure .scroll")) scroller.scrollLeft = scroller.scrollWidth;

for (const table of document.querySelectorAll("table.sortable")) {
  table.tHead.rows[0].querySelectorAll("th").forEach((head, column) => {
    const button = document.createElement("button");
    button.className = "sorter";
    button.type = "button";
    button.append(...head.childNodes);
    button.addEventListener("click", () => sort(table, head, column));
    head.append(button);
  });
}

function sort(table, head, column) {
  const direction = head.getAttribute("aria-sort") === "ascending" ? "descending" : "ascending";
  for (const other of table.querySelectorAll("th[aria-sort]")) other.removeAttribute("aria-sort");
  head.setAttribute("aria-sort", direction);
  const compare = head.dataset.sortAs === "number" ? compareNumbers : compareTexts;
  const sign = direction === "ascending" ? 1 : -1;
  const keyed = Array.from(table.tBodies[0].rows, (row) => [keyOf(row.cells[column]), row]);
  keyed.sort(([one], [other]) => (!one || !other ? !one - !other : sign * compare(one, other))); // what is not known last
  table.tBodies[0].append(...keyed.map(([, row]) => row));
}

function keyOf(cell) {
  const text = (cell?.dataset.sort ?? cell?.textContent ?? "").trim();
  return text.startsWith("not known") ? "" : text;
}

// dates are ISO 8601 in data-sort: as texts they sort by time
const collator = new Intl.Collator("en", { numeric: true });
const compareTexts = (one, other) => collator.compare(one, other);
const compareNumbers = (one, other) => numberOf(one) - numberOf(other);
const numberOf = (text) => Number(text.replace(/[^0-9.-]/g, ""));

for (const table of document.querySelectorAll("table.filterable")) {
  const box = document.createElement("div");
  box.className = "filter";
  const label = document.createElement("label");
  label.htmlFor = "filter";
  label.textContent = "Filter rows";
  const input = document.createElement("input");
  input.type = "search";
  input.id = "filter";
  input.autocomplete = "off";
  const said = document.createElement("span");
  said.setAttribute("role", "status");
  box.append(label, input, said);
  table.parentElement.before(box);
  const rows = Array.from(table.tBodies[0].querySelectorAll("tr:not(.nothing)"), (row) => [row, row.textContent.toLowerCase()]);
  const filter = () => {
    const words = input.value.toLowerCase().split(/\s+/);
    let shown = 0;
    for (const [row, text] of rows) {
      row.hidden = !words.every((word) => text.includes(word));
      shown += !row.hidden;
    }
    said.textContent = `${shown} of ${rows.length} rows`;
  };
  input.addEventListener("input", filter);
  filter();
}
