/* The form of the Train tab: what is said beside its fields, dates in the visitor's zone, and lists that Tab closes. */
Object.assign(studio, (() => {
  const MONTHS = ['Jan', 'Feb', 'Mar', 'Apr', 'May', 'Jun', 'Jul', 'Aug', 'Sep', 'Oct', 'Nov', 'Dec'];
  const two = (number) => String(number).padStart(2, '0');

  /* Calls `then` now, and whenever the server has changed what is in an element. Gradio patches nodes in place, so that
     what was changed here is undone piece by piece; what `then` changes itself does not count. */
  const whenever = (element, then) => {
    const observer = new MutationObserver(() => run());
    const run = () => { try { then(); } finally { observer.takeRecords(); } };
    observer.observe(element, {childList: true, subtree: true, characterData: true, attributes: true});
    run();
  };

  /* Dates as the server writes them, "27 Nov 14:48 UTC", in the zone of whoever looks; the title keeps UTC. */
  const local = (element) => element.querySelectorAll('time[datetime]:not([title])').forEach((time) => {
    const moment = new Date(time.dateTime);
    time.title = time.textContent;
    if (Number.isNaN(moment.getTime())) return;
    const year = moment.getFullYear() === new Date().getFullYear() ? '' : ` ${moment.getFullYear()}`;
    const clock = `${two(moment.getHours())}:${two(moment.getMinutes())}`;
    time.textContent = `${moment.getDate()} ${MONTHS[moment.getMonth()]}${year} ${clock}`;
  });

  /* A line beside a field, which belongs to its description. */
  const beside = (name, kind, text) => {
    const block = document.querySelector(`#setting-${name}`), field = block?.querySelector('input, textarea');
    if (!field) return;
    const id = `${kind}-${name}`;
    let line = document.getElementById(id);
    if (text && !line) {
      line = Object.assign(document.createElement('p'), {id, className: `beside ${kind}`});
      block.append(line);
    }
    if (line) { if (text) line.textContent = text; else line.remove(); }
    block.classList.toggle(kind, Boolean(text));
    const described = new Set((field.getAttribute('aria-describedby') ?? '').split(' ').filter(Boolean));
    described[text ? 'add' : 'delete'](id);
    if (described.size) field.setAttribute('aria-describedby', [...described].join(' '));
    else field.removeAttribute('aria-describedby');
    if (kind === 'wrong') { if (text) field.setAttribute('aria-invalid', 'true'); else field.removeAttribute('aria-invalid'); }
  };

  /* The estimate brings along which fields are wrong, and which are out of use and why. */
  const fields = (element) => {
    let before = [];
    const show = () => {
      const data = element.querySelector('[data-fields]')?.dataset.fields;
      if (!data) return;
      const {sentence, wrong, unused} = JSON.parse(data);
      const now = [...wrong.map((name) => [name, 'wrong', sentence]),
        ...Object.entries(unused).map(([name, reason]) => [name, 'unused', `Not in use: ${reason}.`])];
      before.filter(([name, kind]) => !now.some(([other, its]) => other === name && its === kind))
        .forEach(([name, kind]) => beside(name, kind, ''));
      now.forEach(([name, kind, text]) => beside(name, kind, text));
      before = now;
    };
    whenever(element, show);
    // The drawer's fields are made when it is opened for the first time.
    document.querySelector('#all-settings')?.addEventListener('click', () => setTimeout(show, 300));
  };

  /* The list of a dropdown scrolls, so Tab would stop in it, and it would stay open for as long. */
  document.addEventListener('keydown', (event) => {
    if (event.key !== 'Tab' || event.target.getAttribute?.('role') !== 'combobox') return;
    document.querySelectorAll('.options, .options ul').forEach((list) => { list.tabIndex = -1; });
  }, true);

  return {whenever, local, fields};
})());
