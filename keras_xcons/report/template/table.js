"use strict";

// A head sorts the rows of every group: up, then down, then as they were.
(() => {
  const next = { none: "ascending", ascending: "descending", descending: "none" };
  for (const table of document.querySelectorAll("table.figures")) {
    const heads = [...table.tHead.rows[0].cells];
    const groups = [...table.tBodies].map((body) => ({ body, blocks: blocksOf(body) }));
    heads.forEach((head, column) => {
      head.setAttribute("aria-sort", "none");
      head.firstElementChild.addEventListener("click", () => {
        const order = next[head.getAttribute("aria-sort")];
        heads.forEach((other) => other.setAttribute("aria-sort", "none"));
        head.setAttribute("aria-sort", order);
        const compare = comparison(column, head.dataset.type === "number", order);
        for (const { body, blocks } of groups) {
          const sorted = order === "none" ? blocks : [...blocks].sort(compare);
          body.append(...sorted.flat());
        }
      });
    });
  }

  // A row, and the rows of baselines that stay below it.
  function blocksOf(body) {
    const blocks = [];
    for (const row of body.rows) {
      if (row.classList.contains("row")) blocks.push([row]);
      else if (row.classList.contains("follows")) blocks.at(-1).push(row);
    }
    return blocks;
  }

  function comparison(column, isNumber, order) {
    const sign = order === "ascending" ? 1 : -1;
    const key = (block) => block[0].cells[column].dataset.value;
    return (first, second) => {
      const [a, b] = [key(first), key(second)];
      // What was not measured comes last in either order.
      if (a === "" || b === "") return (a === "") - (b === "");
      return sign * (isNumber ? a - b : a.localeCompare(b));
    };
  }
})();
