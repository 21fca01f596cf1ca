"use strict";

// Order and filters of the images.
(() => {
  const list = document.getElementById("tiles");
  if (!list) return;
  const find = (id) => document.getElementById(id);
  const tiles = [...list.children];
  const choices = ["by-model", "by-order", "by-class", "by-outcome"]
    .map(find)
    .filter(Boolean);
  const model = () => Number(find("by-model")?.value ?? 0);
  const figure = (tile, name) => tile.dataset[name].trim().split(" ")[model()];

  function fits(tile) {
    const wanted = find("by-class").value;
    const outcome = find("by-outcome").value;
    const isRight = figure(tile, "correct") === "1";
    return (
      (wanted === "" || tile.dataset.class === wanted) &&
      (outcome === "" || (outcome === "right") === isRight)
    );
  }

  function compare(first, second) {
    const [name, way] = find("by-order").value.split("-");
    if (!name) return 0;
    const [a, b] = [figure(first, name), figure(second, name)];
    // Images without the figure come last in either order.
    if (a === "-" || b === "-") return (a === "-") - (b === "-");
    return (way === "up" ? 1 : -1) * (a - b);
  }

  function show() {
    const shown = tiles.filter(fits);
    tiles.forEach((tile) => (tile.hidden = !shown.includes(tile)));
    list.append(...[...tiles].sort(compare));
    find("shown").textContent = `${shown.length} of ${tiles.length} shown`;
    find("empty").hidden = shown.length > 0;
  }

  function reset() {
    choices.forEach((choice) => (choice.selectedIndex = 0));
    show();
  }

  choices.forEach((choice) => choice.addEventListener("change", show));
  find("reset").addEventListener("click", reset);
  find("clear").addEventListener("click", () => {
    reset();
    choices[0].focus();
  });
  find("controls").hidden = false;
  // A page that is gone back to keeps what was chosen.
  show();
})();
