// Sorts the leaderboard's table and moves through it by keyboard. Values come from data attributes that Python has
// escaped; this script never inserts markup into the page.
function theme(root, dark) {
  root.dataset.theme = dark ? "dark" : "light";
}

function heads(table) {
  return Array.from(table.tHead.rows[0].cells);
}

// on a phone one benchmark at a time: the class "at" marks the cells of the column that is shown
function pick(table, benchmark) {
  const columns = heads(table), at = columns.findIndex((th) => th.dataset.benchmark === benchmark);
  if (at < 0) return;
  for (const row of table.rows) Array.from(row.cells).forEach((cell, n) => cell.classList.toggle("at", n === at));
}

function picker(root) {
  const select = root.querySelector("select.pick"), tables = Array.from(root.querySelectorAll("table.board"));
  if (!select || !tables.length) return;
  const names = new Set(tables.flatMap((table) => heads(table).map((th) => th.dataset.benchmark).filter(Boolean)));
  select.replaceChildren(...Array.from(names, (name) => new Option(name, name)));
  const lead = tables[0].tHead.querySelector("th.at");
  if (lead) select.value = lead.dataset.benchmark;
  select.onchange = () => tables.forEach((table) => pick(table, select.value));
}

function sortTable(table, button) {
  const head = button.closest("th");
  const at = heads(table).indexOf(head);
  const upwards = head.classList.contains("model") || head.dataset.lower === "true"; // the best first: of some metrics less is better
  const ascending = head.getAttribute("aria-sort") === "descending" || (upwards && !head.hasAttribute("aria-sort"));
  table.querySelectorAll("[aria-sort]").forEach((th) => th.removeAttribute("aria-sort"));
  head.setAttribute("aria-sort", ascending ? "ascending" : "descending");
  const value = (row) => row.children[at].dataset.v || "";
  const order = (a, b) => {
    const x = value(a), y = value(b);
    if (x === "" || y === "") return (x === "") - (y === ""); // missing values come last in both orders
    const byNumber = Number(x) - Number(y);
    const compared = Number.isNaN(byNumber) ? x.localeCompare(y) : byNumber;
    return ascending ? compared : -compared;
  };
  table.querySelectorAll("tr.apart").forEach((row) => row.classList.remove("apart")); // valid in the old order only
  table.tBodies[0].append(...Array.from(table.tBodies[0].rows).sort(order));
}

function walk(table, open) {
  const first = table.querySelector("tbody th.model");
  if (first) first.tabIndex = 0;
  const focus = (cell) => {
    if (!cell) return;
    table.querySelectorAll('tbody [tabindex="0"]').forEach((held) => { held.tabIndex = -1; });
    cell.tabIndex = 0;
    cell.focus();
  };
  table.tBodies[0].addEventListener("keydown", (event) => {
    const cell = event.target.closest("th, td");
    if (!cell) return;
    const row = cell.parentElement, at = cell.cellIndex, rows = row.parentElement.rows;
    const visible = (one) => one && getComputedStyle(one).display !== "none";
    let to = null;
    if (event.key === "ArrowRight") { to = cell.nextElementSibling; while (to && !visible(to)) to = to.nextElementSibling; }
    else if (event.key === "ArrowLeft") { to = cell.previousElementSibling; while (to && !visible(to)) to = to.previousElementSibling; }
    else if (event.key === "ArrowDown") to = rows[row.sectionRowIndex + 1]?.cells[at];
    else if (event.key === "ArrowUp") to = rows[row.sectionRowIndex - 1]?.cells[at];
    else if (event.key === "Home") to = row.cells[0];
    else if (event.key === "End") to = row.cells[row.cells.length - 1];
    else if ((event.key === "Enter" || event.key === " ") && open) { open(cell); event.preventDefault(); return; }
    else return;
    event.preventDefault();
    focus(to);
  });
  // a cell's tooltip, its text and its column's header, is made on hover: 6,000 stored tooltips cost too much
  const over = heads(table);
  table.tBodies[0].addEventListener("mouseover", (event) => {
    const cell = event.target.closest("td.measured");
    if (cell && !cell.title) cell.title = cell.innerText.replace(/\s+/g, " ") + " · " + over[cell.cellIndex].title;
  });
  if (open) table.tBodies[0].addEventListener("click", (event) => {
    const cell = event.target.closest("th, td");
    if (!cell || event.target.type === "checkbox") return;
    focus(cell);
    open(cell);
  });
}
