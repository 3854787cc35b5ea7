// Elements, made of data: text is always text and never markup.

const SVG = "http://www.w3.org/2000/svg";

/**
 * An element. Attributes that are null or false are left out, true stands without a value; children are
 * elements and text.
 */
export function element(tag, attributes = {}, ...children) {
  return filled(document.createElement(tag), attributes, children);
}

/** The same, of a drawing. */
export function drawn(tag, attributes = {}, ...children) {
  return filled(document.createElementNS(SVG, tag), attributes, children);
}

function filled(made, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) made.addEventListener(name.slice(2), value);
    else if (value != null && value !== false) made.setAttribute(name, value === true ? "" : value);
  }
  made.append(...children.flat(Infinity).filter((child) => child != null));
  return made;
}

/** Put these in the place of what an element holds, and show it. */
export function fill(target, ...children) {
  target.replaceChildren(...children.flat(Infinity).filter((child) => child != null));
  target.hidden = false;
}

/** The value of a property of the style sheet, as `--up`. */
export function styled(element, name) {
  return getComputedStyle(element).getPropertyValue(name).trim();
}

/** Call this now and whenever the colour scheme changes. */
export function onScheme(paint) {
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", paint);
  paint();
}
