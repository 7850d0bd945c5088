// Light or dark: the system's wish until the reader chooses, then the reader's. A plain script in the
// head, so that it runs before the first paint.
(() => {
  const KEY = "musicgen-theme";
  const system = matchMedia("(prefers-color-scheme: dark)");
  let chosen = null;
  try { chosen = localStorage.getItem(KEY); } catch { /* storage is forbidden: chosen for this page only */ }

  const show = () => {
    const dark = chosen === null ? system.matches : chosen === "dark";
    document.documentElement.dataset.theme = dark ? "dark" : "light";
    document.body?.classList.toggle("dark", dark); // Gradio's own components follow
    for (const button of document.querySelectorAll("[data-theme-toggle]")) {
      button.setAttribute("aria-label", dark ? "Light page" : "Dark page");
      button.title = dark ? "Light page" : "Dark page";
    }
  };

  document.addEventListener("click", (event) => {
    if (!event.target.closest?.("[data-theme-toggle]")) return;
    chosen = document.documentElement.dataset.theme === "dark" ? "light" : "dark";
    try { localStorage.setItem(KEY, chosen); } catch { /* as above */ }
    show();
  });
  system.addEventListener("change", show);
  document.addEventListener("DOMContentLoaded", show);
  window.musicgen = { showTheme: show };
  show();
})();
