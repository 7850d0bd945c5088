// Keyboard shortcuts that leave text fields, sliders and the keyboard's own focus alone.

const TYPING = "input:not([type=range]):not([type=button]), textarea, select, [contenteditable=true]";

/**
 * Call `actions[event.key]` on a key press unless the key belongs to what has the focus.
 * Space on a button that was reached by keyboard presses that button.
 * @param {Record<string, () => void>} actions by KeyboardEvent.key
 * @returns {() => void} removes the shortcuts
 */
export function shortcuts(actions) {
  const handle = (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented) return;
    const action = actions[event.key];
    if (!action || belongsToFocus(event)) return;
    event.preventDefault();
    action();
  };
  // A button pressed with a pointer gives the focus back, so that Space is not its own any more.
  const release = (event) => {
    if (event.detail > 0) event.target.closest?.("button")?.blur();
  };
  document.addEventListener("keydown", handle);
  document.addEventListener("click", release, true); // before the button changes its own content
  return () => {
    document.removeEventListener("keydown", handle);
    document.removeEventListener("click", release, true);
  };
}

function belongsToFocus(event) {
  const focus = document.activeElement;
  if (!focus || focus === document.body) return false;
  if (focus.matches(TYPING)) return true;
  if (focus.matches("input[type=range]")) return event.key.startsWith("Arrow");
  return event.key === " " && focus.matches("button, summary, [role=button]");
}
