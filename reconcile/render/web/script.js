(() => {
  "use strict";
  // The state of the filters stands behind # in the address, so that a view can be shared.
  const form = document.getElementById("filters");
  if (!form) return;
  const items = Array.from(document.querySelectorAll("details.item"));
  const kinds = Array.from(document.querySelectorAll("section.kind"));
  const shown = document.getElementById("shown");
  const selects = Array.from(form.querySelectorAll("select"));
  const query = form.elements.namedItem("q");
  const texts = new Map();
  const textOf = (item) => {
    let text = texts.get(item);
    if (text === undefined) {
      text = item.textContent.toLowerCase();
      texts.set(item, text);
    }
    return text;
  };

  const filter = () => {
    const wanted = selects.filter((s) => s.value !== "").map((s) => [s.name, s.value]);
    const words = query.value.toLowerCase().split(/\s+/).filter((w) => w !== "");
    let n = 0;
    for (const item of items) {
      const fits = wanted.every(([name, value]) => {
        const has = item.getAttribute("data-" + name) || "";
        return has === value || ((name === "action" || name === "label") && has.split(" ").includes(value));
      }) && words.every((w) => textOf(item).includes(w));
      item.hidden = !fits;
      if (fits) n++;
    }
    for (const kind of kinds) kind.hidden = !kind.querySelector("details.item:not([hidden])");
    shown.textContent = n + " of " + items.length + " shown";
  };

  const remember = () => {
    const state = new URLSearchParams();
    for (const s of selects) if (s.value !== "") state.set(s.name, s.value);
    if (query.value !== "") state.set("q", query.value);
    const text = state.toString();
    try {
      history.replaceState(null, "", text === "" ? location.pathname + location.search : "#" + text);
    } catch {
      // A frame may forbid it: the filters work all the same.
    }
  };

  const recall = () => {
    const hash = location.hash.slice(1);
    const target = /^s[0-9]+$/.test(hash) ? document.getElementById(hash) : null;
    const state = new URLSearchParams(target ? "" : hash);
    if (target && target.hidden || !target) {
      for (const s of selects) {
        s.value = state.get(s.name) || "";
        if (s.selectedIndex < 0) s.value = "";
      }
      query.value = state.get("q") || "";
      filter();
    }
    if (target) {
      target.open = true;
      target.scrollIntoView();
      target.querySelector("summary").focus({preventScroll: true});
    }
  };

  form.hidden = false;
  form.addEventListener("input", () => { filter(); remember(); });
  form.addEventListener("submit", (e) => e.preventDefault());
  form.addEventListener("reset", (e) => {
    e.preventDefault();
    for (const s of selects) s.value = "";
    query.value = "";
    filter();
    remember();
  });
  document.getElementById("open").addEventListener("click", () => { for (const i of items) if (!i.hidden) i.open = true; });
  document.getElementById("close").addEventListener("click", () => { for (const i of items) i.open = false; });
  addEventListener("hashchange", recall);
  addEventListener("beforeprint", () => { for (const i of items) if (!i.hidden) i.open = true; });
  filter();
  if (location.hash !== "") recall();
})();
