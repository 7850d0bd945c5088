// Line drawings for buttons, 24 by 24, in the colour of the text.

const SHAPES = {
  play: '<path class="solid" d="M8 5.2v13.6L19 12z"/>',
  pause: '<path class="solid" d="M7 5.5h3v13H7zM14 5.5h3v13h-3z"/>',
  previous: '<path d="M18 6v12l-9-6zM6 6v12"/>',
  next: '<path d="M6 6v12l9-6zM18 6v12"/>',
  heart: '<path class="fillable" d="M12 19.5C5 15 3.5 11.6 3.5 9.2A4.2 4.2 0 0 1 12 7.5a4.2 4.2 0 0 1 8.5 1.7c0 2.4-1.5 5.8-8.5 10.3z"/>',
  vary: '<path d="M4 15c3-7 5-7 8 0s5 7 8 0M17 4v6M14 7h6"/>',
  lock: '<rect x="5.5" y="11" width="13" height="9" rx="1.5"/><path d="M8.5 11V8a3.5 3.5 0 0 1 7 0v3"/>',
  unlock: '<rect x="5.5" y="11" width="13" height="9" rx="1.5"/><path d="M8.5 11V8a3.5 3.5 0 0 1 6.8-1.2"/>',
  cross: '<path d="M6 6l12 12M18 6L6 18"/>',
};

/** The drawing called `name`, as SVG text that screen readers pass over. */
export function icon(name) {
  return `<svg class="${name}-icon" viewBox="0 0 24 24" aria-hidden="true" focusable="false">${SHAPES[name]}</svg>`;
}
