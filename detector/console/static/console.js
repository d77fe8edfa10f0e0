// Keys and the choice of dark or light. What the keys do is on the page too: each moves the focus or presses a button.
(() => {
  const rows = () => [...document.querySelectorAll(".alerts .alert")];
  const current = () => document.activeElement?.closest?.(".alert");
  const typing = (target) => target.closest?.("input, textarea, select, [contenteditable], dialog");

  function move(step) {
    const all = rows();
    if (!all.length) return document.querySelector(`[data-key="${step > 0 ? "j" : "k"}"]`)?.click();
    const at = all.indexOf(current());
    const next = all[at < 0 ? 0 : Math.min(Math.max(at + step, 0), all.length - 1)];
    const link = next.querySelector("[data-open]");
    link.focus({ preventScroll: true });
    next.scrollIntoView({ block: "nearest" });
  }

  function judge(word) {
    (current() ?? document.querySelector(".judge"))?.querySelector(`[data-verdict="${word}"]`)?.click();
  }

  const keys = {
    j: () => move(1),
    k: () => move(-1),
    f: () => judge("fraud"),
    l: () => judge("legitimate"),
    u: () => judge("unsure"),
    n: () => document.querySelector("#note")?.focus(),
    g: () => (document.activeElement?.blur(), document.querySelector('[data-key="g"]')?.click(), scrollTo(0, 0)),
    p: () => document.querySelector('[data-key="p"]')?.click(),
    "/": () => document.querySelector("#seek")?.focus(),
    "?": () => document.querySelector("#keys")?.showModal(),
    Escape: () => document.activeElement?.blur(),
  };

  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.isComposing) return;
    if (event.key === "Escape" ? event.target.closest?.("dialog") : typing(event.target)) return;
    const action = keys[event.key];
    if (!action) return;
    event.preventDefault();
    action();
  });

  // Where the sign-in has ended, a page that lost its console is refused for good: the way is to the sign-in.
  setInterval(async () => {
    if (!document.querySelector("#popup[aria-hidden=false]")) return;
    const found = await fetch("/static/console.js", { cache: "no-store", redirect: "manual" }).catch(() => null);
    if (found?.type === "opaqueredirect") location.reload();
  }, 3000);

  const wanted = () => localStorage.getItem("theme") ?? "auto";
  function dress() {
    const dark = matchMedia("(prefers-color-scheme: dark)").matches;
    document.documentElement.dataset.theme = wanted() === "auto" ? (dark ? "dark" : "light") : wanted();
  }
  function next() {
    const now = document.documentElement.dataset.theme;
    localStorage.setItem("theme", now === "dark" ? "light" : "dark");
    dress();
  }
  dress();
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", dress);
  document.addEventListener("click", (event) => {
    if (event.target.closest?.("#theme")) next();
    if (event.target.closest?.("#show-keys")) keys["?"]();
    if (event.target.closest?.("#keys [data-close]")) document.querySelector("#keys").close();
  });
})();
