
const root = document.querySelector(".zoo");
const dark = matchMedia("(prefers-color-scheme: dark)");
theme(root, dark.matches);
dark.addEventListener("change", () => theme(root, dark.matches));
document.querySelectorAll("table.board").forEach((table) => {
  walk(table, null);
  table.tHead.addEventListener("click", (event) => {
    const button = event.target.closest("button.sort");
    if (button) sortTable(table, button);
  });
});
