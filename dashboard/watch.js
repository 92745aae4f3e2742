// Says that the page's server has ended: Streamlit asks about the internet, which a page of this machine does not use.
const TEXT = "The page's server has ended. Start it again in the terminal: phizoo leaderboard";
const STYLE = "position: fixed; inset: 0 0 auto 0; z-index: 2000000; padding: 10px 16px; background: #9c1c4c; color: #fff; font: 15px/1.4 system-ui, sans-serif; text-align: center;";

export default function () {
  const app = document.querySelector("[data-testid=stApp]");
  if (!app || app.dataset.watched) return;
  app.dataset.watched = "true";
  const note = document.createElement("div");
  note.setAttribute("role", "alert");
  note.style.cssText = STYLE;
  let timer = 0;
  const look = () => {
    clearTimeout(timer);
    if (app.dataset.testConnectionState === "CONNECTED") note.remove();
    else timer = setTimeout(() => { note.textContent = TEXT; document.body.append(note); }, 3000); // a short break is none
  };
  new MutationObserver(look).observe(app, { attributeFilter: ["data-test-connection-state"] });
}
