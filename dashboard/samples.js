// Draws the samples' list, those alone that are in view; a click or Enter opens one. Texts are set as text, never as markup.
function element(name, text) {
  const one = document.createElement("span");
  one.className = name;
  one.textContent = text;
  return one;
}

function option(root, at) {
  const [marks, name, question, why] = root.rows[at], row = document.createElement("div"), words = element("words", "");
  row.setAttribute("role", "option");
  row.id = "sample-" + at;
  row.setAttribute("aria-selected", at === root.at);
  row.setAttribute("aria-setsize", root.rows.length);
  row.setAttribute("aria-posinset", at + 1);
  row.className = at === root.active ? "active" : "";
  row.style.top = at * root.high + "px";
  row.style.height = root.high + "px";
  words.append(element("about", [name, why].filter(Boolean).join(" · ")), element("question", question));
  row.append(element(marks.startsWith("✓") ? "right" : "wrong", marks), words);
  return row;
}

function draw(root, list) {
  const first = Math.max(0, Math.floor(list.scrollTop / root.high) - 4);
  const last = Math.min(root.rows.length, first + Math.ceil(list.clientHeight / root.high) + 8);
  const space = list.firstElementChild;
  space.style.height = root.rows.length * root.high + "px";
  space.replaceChildren(...Array.from({ length: last - first }, (_, n) => option(root, first + n)));
  list.setAttribute("aria-activedescendant", "sample-" + root.active);
}

function go(root, list, at) {
  root.active = Math.max(0, Math.min(root.rows.length - 1, at));
  const top = root.active * root.high;
  if (top < list.scrollTop) list.scrollTop = top;
  if (top + root.high > list.scrollTop + list.clientHeight) list.scrollTop = top + root.high - list.clientHeight;
  draw(root, list);
}

export default function (component) {
  const { data, parentElement, setTriggerValue } = component;
  const root = parentElement.querySelector(".zoo"), list = root.querySelector(".list");
  const parts = (getComputedStyle(root.querySelector(".probe")).backgroundColor.match(/[\d.]+/g) || []).map(Number);
  root.dataset.theme = parts.length >= 3 && parts[0] + parts[1] + parts[2] < 382 ? "dark" : "light";
  root.rows = data.rows;
  root.at = data.at;
  root.high = data.rows.some((row) => row[2]) ? 66 : 34;
  root.open = (at) => { if (root.rows[at]) setTriggerValue("opened", root.rows[at][4]); };
  list.setAttribute("aria-label", data.label);
  go(root, list, data.at < 0 ? 0 : data.at);
  if (root.ready) return;
  root.ready = true;
  new ResizeObserver(() => draw(root, list)).observe(list);
  list.addEventListener("scroll", () => draw(root, list), { passive: true });
  list.addEventListener("click", (event) => {
    const row = event.target.closest("[role=option]");
    if (row) root.open(Number(row.getAttribute("aria-posinset")) - 1);
  });
  list.addEventListener("keydown", (event) => {
    const page = Math.floor(list.clientHeight / root.high);
    const to = { ArrowDown: 1, ArrowUp: -1, PageDown: page, PageUp: -page, Home: -1e9, End: 1e9 }[event.key];
    if (to) { event.preventDefault(); go(root, list, root.active + to); }
    if (event.key === "Enter") root.open(root.active);
  });
}
