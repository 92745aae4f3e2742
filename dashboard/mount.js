
// once the dialog that a cell opened is closed, the keyboard goes on from that cell
function returnFocus(cell) {
  const dialog = () => document.querySelector("[role=dialog]"), began = Date.now();
  let seen = false;
  const timer = setInterval(() => {
    if (dialog()) seen = true;
    else if (seen || Date.now() - began > 60000) { clearInterval(timer); if (seen && cell.isConnected) cell.focus(); }
  }, 200);
}

export default function (component) {
  const { data, parentElement, setTriggerValue } = component;
  const root = parentElement.querySelector(".zoo"), scroll = root.querySelector(".body");
  const probe = root.querySelector(".probe"), ground = getComputedStyle(probe).backgroundColor;
  const parts = (ground.match(/[\d.]+/g) || []).map(Number);
  theme(root, parts.length >= 3 && parts[0] + parts[1] + parts[2] < 382);
  root.send = setTriggerValue;
  root.querySelectorAll(".busy").forEach((one) => one.classList.remove("busy"));
  if (root.drawn === data.html) return;
  root.drawn = data.html;
  scroll.innerHTML = data.html;
  root.querySelector(".picking").hidden = !scroll.querySelector("table.board");
  picker(root);
  scroll.querySelectorAll("table.board").forEach((table) => {
    walk(table, (cell) => {
      const row = cell.closest("tr").dataset.row, column = heads(table)[cell.cellIndex].dataset.column;
      if (cell.classList.contains("tick")) { cell.querySelector("input")?.click(); return; }
      if (!cell.matches("td.measured, td.reported, th.model")) return;
      cell.classList.add("busy");
      returnFocus(cell);
      root.send("opened", row + "~" + (cell.classList.contains("model") ? "" : column));
    });
    table.tHead.addEventListener("click", (event) => {
      const button = event.target.closest("button.sort");
      if (!button) return;
      sortTable(table, button); // what is drawn at once; all rows follow from the server
      button.classList.add("busy");
      root.send("sorted", button.dataset.sort);
    });
  });
  scroll.querySelectorAll(".wide").forEach((wide) => {
    const fade = () => wide.classList.toggle("more", wide.scrollWidth - wide.clientWidth - wide.scrollLeft > 2);
    wide.addEventListener("scroll", fade, { passive: true });
    new ResizeObserver(fade).observe(wide);
  });
  const chosen = (root.chosen ||= []), bar = root.querySelector(".chosen");
  const show = () => {
    scroll.querySelectorAll("input[data-label]").forEach((box) => { box.checked = chosen.includes(box.dataset.label); });
    bar.hidden = !chosen.length;
    const own = chosen.filter((label) => !label.startsWith("published:")), others = chosen.length - own.length;
    const text = others > 1 ? "choose one reported model at most" : !own.length ? "choose one that is measured here"
      : chosen.length === 1 ? "choose another to compare" : "";
    bar.querySelector("span").textContent = chosen.length + " chosen: " + text;
    bar.querySelector("[data-go=compare]").disabled = !!text;
    bar.querySelector("[data-go=try]").disabled = own.length < 2 || others > 0;
  };
  show();
  if (root.ready) return;
  root.ready = true;
  root.addEventListener("change", (event) => {
    const label = event.target.dataset.label;
    if (!label) return;
    if (event.target.checked) chosen.push(label); else chosen.splice(chosen.indexOf(label), 1);
    show();
  });
  bar.addEventListener("click", (event) => {
    const go = event.target.dataset.go;
    if (!go) return;
    if (go === "clear") { chosen.length = 0; show(); return; }
    const others = chosen.filter((label) => label.startsWith("published:")); // a reported model can be the baseline only
    root.send("chosen", go + "~" + JSON.stringify([...chosen.filter((label) => !others.includes(label)), ...others]));
  });
}
