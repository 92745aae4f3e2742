
// Draws the comparison and reports its buttons; j and k step through the flips. Its markup was escaped by Python.
export default function (component) {
  const { data, parentElement, setTriggerValue } = component;
  const root = parentElement.querySelector(".zoo"), body = root.querySelector(".body");
  const parts = (getComputedStyle(root.querySelector(".probe")).backgroundColor.match(/[\d.]+/g) || []).map(Number);
  root.dataset.theme = parts.length >= 3 && parts[0] + parts[1] + parts[2] < 382 ? "dark" : "light";
  root.send = (act, key) => setTriggerValue("pressed", act + "~" + (key || ""));
  root.querySelectorAll(".busy").forEach((button) => button.classList.remove("busy"));
  if (root.drawn !== data.html) {
    const before = body.querySelector(".reader");
    root.drawn = data.html;
    body.innerHTML = data.html;
    const reader = body.querySelector(".reader");
    if (reader) {
      reader.focus({ preventScroll: true });
      if (!before) reader.scrollIntoView({ block: "nearest" });
    }
  }
  if (root.ready) return;
  root.ready = true;
  root.addEventListener("click", (event) => {
    const button = event.target.closest("button[data-act]");
    if (button) { button.classList.add("busy"); root.send(button.dataset.act, button.dataset.key); }
  });
  root.addEventListener("change", (event) => {
    if (event.target.dataset.act === "find") root.send("find", event.target.value);
  });
  root.addEventListener("keydown", (event) => {
    const act = { j: "next", k: "prev" }[event.key];
    if (event.target.matches("input")) return;
    if (act && body.querySelector(".reader") && !event.ctrlKey && !event.metaKey) root.send(act);
  });
}
