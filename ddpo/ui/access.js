/* The page with a keyboard and a screen reader: short ways, the focus, what is said aloud, and the before/after handle. */
const access = (() => {
  const LOOK = 400;  // milliseconds between two looks at what has changed
  const PATIENCE = 5000;  // that a press may take until its button is out of use
  const MAIN = {compare: '#compare-button', evaluate: '#evaluate-button', train: '#start-button', score: '#score-button'};
  const RUNS = [['#compare-button', '#cancel-button'], ['#evaluate-button', '#evaluate-cancel']];
  // What is said once it has changed, and within what: nothing is said of what was there when that came.
  const SAID = [
    ['#results', '#notice .card'], ['#results', '#status .sentence'], ['.masthead', '#address-note .card'],
    ['#evaluation', '#evaluate-notice .card'], ['#evaluation', '#verdicts .sentence'],
    ['#train-tab', '#train-notice .card'], ['#run', '#run-status .line b'], ['#score-tab', '#verdict .card'],
  ];

  const find = (selector) => document.querySelector(selector);
  const selected = () => find('[role=tab][aria-selected=true]')?.dataset.tabId ?? 'compare';
  const usable = (button) => button && !button.disabled && button.offsetParent !== null;
  /* Whether whoever uses the keyboard would have to begin at the top of the page. */
  const lost = () => {
    const focused = document.activeElement;
    return !focused || focused === document.body || focused.disabled || !focused.isConnected;
  };

  /* The first stop of the page leads to the button that its tab is about. */
  const skipping = (element) => {
    element.querySelector('.skip').addEventListener('click', () => find(MAIN[selected()])?.focus());
  };

  /* One live region, which holds the last of what there was to say. */
  const say = (text) => { const region = find('#said'); if (region) region.textContent = text; };
  const heard = new Map();
  const look = () => {
    if (document.hidden) return;
    const told = new Set();  // what was in the way comes before what is shown again behind it
    for (const [within, selector] of SAID) {
      const known = heard.has(selector), there = find(within);
      if (!there) { heard.delete(selector); continue; }
      const text = find(selector)?.textContent.trim() ?? '';
      if (text === heard.get(selector)) continue;
      heard.set(selector, text);
      if (known && text && !told.has(within)) { told.add(within); say(text); }
    }
    // Gradio gives this button a name that is not its text, by which nobody who speaks to the page can press it.
    find('#score-upload button.upload-container[aria-label]')?.removeAttribute('aria-label');
    // A message of Gradio's is a button around the one that closes it.
    document.querySelectorAll('.toast-header[role=button]').forEach((header) => {
      ['role', 'tabindex'].forEach((name) => header.removeAttribute(name));
    });
    find('#compare-button:not([aria-keyshortcuts])')?.setAttribute('aria-keyshortcuts', 'Control+Enter');
  };
  setInterval(look, LOOK);

  /* A press takes its button out of use, and with it the focus: that goes to Cancel, and back when all is done. */
  const follow = (button, cancel) => {
    const pressed = Date.now();
    let began = false;
    const timer = setInterval(() => {
      if (find(button)?.disabled) {
        if (!began) say(find(button).textContent);
        began = true;
        if (lost() && usable(find(cancel))) find(cancel).focus({preventScroll: true});
      } else if (began || Date.now() - pressed > PATIENCE) {
        clearInterval(timer);
        if (lost()) find(button)?.focus({preventScroll: true});
      }
    }, 150);
  };
  document.addEventListener('click', (event) => {
    const run = event.target instanceof Element && RUNS.find(([button]) => event.target.closest(button));
    if (run) follow(...run);
  });

  /* A list that scrolls is a stop of its own, at which it would stay open with nothing to do. */
  document.addEventListener('focusin', ({target}) => {
    if (target.getAttribute?.('role') !== 'combobox') return;
    setTimeout(() => target.closest('.block')?.querySelector('[role=listbox]')?.setAttribute('tabindex', '-1'), 100);
  });

  /* Ctrl and Enter compare, on the tab that does, whichever of its fields has the focus. */
  document.addEventListener('keydown', (event) => {
    if (event.key !== 'Enter' || !(event.ctrlKey || event.metaKey) || event.repeat) return;
    if (selected() !== 'compare' || find('dialog[open]') || !usable(find(MAIN.compare))) return;
    event.preventDefault();
    setTimeout(() => find(MAIN.compare)?.click(), 50);  // once what was typed last has been taken up
  }, true);  // before a field takes the key for itself

  /* The handle between both pictures of a seed is a range, which follows the pointer and the arrow keys by itself. */
  const slider = (element) => element.addEventListener('input', ({target}) => {
    target.parentElement.style.setProperty('--at', `${target.value}%`);
    target.setAttribute('aria-valuetext', `${target.value}% base, ${100 - target.value}% finetuned`);
  });

  return {skipping, slider};
})();
