
export default function (component) {
  const { data, parentElement, setTriggerValue } = component;
  const root = parentElement.querySelector(".zoo"), scroll = root.querySelector(".scroll");
  const probe = root.querySelector(".probe"), ground = getComputedStyle(probe).backgroundColor;
  const parts = (ground.match(/[\d.]+/g) || []).map(Number);
  theme(root, parts.length >= 3 && parts[0] + parts[1] + parts[2] < 382);
  if (root.drawn === data.html) return;
  root.drawn = data.html;
  scroll.innerHTML = data.html;
  const table = scroll.querySelector("table.board");
  if (!table) return;
  walk(table, (cell) => {
    const row = cell.closest("tr").dataset.row, column = heads(table)[cell.cellIndex].dataset.column;
    if (cell.matches("td.measured, td.reported")) setTriggerValue("opened", row + "~" + column);
    else if (cell.classList.contains("model")) setTriggerValue("opened", row + "~");
  });
  table.tHead.addEventListener("click", (event) => {
    const button = event.target.closest("button.sort");
    if (button) setTriggerValue("sorted", button.dataset.sort);
  });
}
