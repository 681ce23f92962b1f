// Elements, made in one line. Texts are texts: nothing that a package says becomes markup.

export function element(name, attributes = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (key.startsWith("on")) made.addEventListener(key.slice(2), value);
    else if (value === true) made.setAttribute(key, "");
    else if (value !== false && value !== null && value !== undefined) made.setAttribute(key, value);
  }
  made.append(...children.flat().filter((child) => child !== null && child !== undefined && child !== ""));
  return made;
}

/** Changes the text of an element, if it is another. */
export function setText(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

/** Changes a text in which `names` are set as code, if it is another. */
export function setProse(node, text) {
  if (node.prose === text) return;
  node.prose = text;
  node.replaceChildren(...prose(text));
}

/** A text in which `names` are set as code. */
export function prose(text) {
  return text.split("`").map((part, at) => (at % 2 === 1 ? element("code", {}, part) : part)).filter((part) => part !== "");
}

/** A table with a head; rows of texts or elements. */
export function table(head, rows, caption) {
  const row = (cells, cell) => element("tr", {}, cells.map((content) => element(cell, isNumber(content) ? { class: "number" } : {}, content)));
  return element(
    "div",
    { class: "scroll" },
    element("table", {}, caption ? element("caption", {}, caption) : null, element("thead", {}, row(head, "th")), element("tbody", {}, rows.map((cells) => row(cells, "td")))),
  );
}

const isNumber = (content) => typeof content === "string" && /^[\d.,]+( ?[%kMGT]?i?[Bs]?| (ns|µs|ms))(\/s)?$/.test(content);
