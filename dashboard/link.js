// Copies the page's address, which holds the whole view.
export default function (component) {
  const button = component.parentElement.querySelector("button");
  button.onclick = async () => {
    try { await navigator.clipboard.writeText(location.href); button.textContent = "Copied"; }
    catch { button.textContent = "Copy it from the address bar"; } // a page without TLS may not write the clipboard
    setTimeout(() => { button.textContent = "Copy link"; }, 2500);
  };
}
