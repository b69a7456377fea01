/* What the page does in the browser alone: the larger view of a seed, and how small pictures are enlarged. */
const studio = (() => {
  const CRISP = 'ddpo-crisp';  // in the browser's storage: pictures are enlarged by whole factors
  const tab = () => document.querySelector('#compare-tab');  // within which all of style.css applies

  /* The browser's storage, which a frame of another site may not have. */
  const stored = (key) => { try { return localStorage.getItem(key); } catch { return null; } };
  const store = (key, value) => { try { localStorage.setItem(key, value); } catch { /* kept for this page only */ } };

  /* A press on a picture marks all of its seed, and tells the server of it; `then` gets what was pressed. */
  const choices = (element, trigger, then = () => {}) => {
    let later;
    const choose = (index) => {
      element.querySelectorAll('[data-index]').forEach(
        (picture) => picture.classList.toggle('chosen', picture.dataset.index === String(index)));
      clearTimeout(later);  // whoever goes on at once is told of the last one only
      later = setTimeout(() => trigger('click', {index}), 100);
    };
    const press = (event) => {
      const picture = event.target.closest('[data-index]');
      if (!picture || (event.type === 'keydown' && event.key !== 'Enter' && event.key !== ' ')) return;
      event.preventDefault();
      choose(Number(picture.dataset.index));
      then(picture, choose);
    };
    element.addEventListener('click', press);
    element.addEventListener('keydown', press);
  };

  /* Both galleries: the slider follows, and the larger view opens. */
  const pictures = (element, trigger) =>
    choices(element, trigger, (picture, choose) => larger(element, picture, choose));

  const DIALOG = `
    <header>
      <button type="button" data-step="-1" aria-label="Previous seed">‹</button><h2 aria-live="polite"></h2>
      <button type="button" data-step="1" aria-label="Next seed">›</button>
      <button type="button" data-close aria-label="Close">×</button>
    </header>
    <div class="both"></div>`;

  /* One seed of both models as large as the window allows; arrow keys go through the seeds, Escape closes. */
  const larger = (element, pressed, choose) => {
    const dialog = document.createElement('dialog');
    dialog.id = 'larger';
    dialog.innerHTML = DIALOG;
    const seeds = [...element.querySelectorAll('.panel.base [data-index]')];
    let index = Number(pressed.dataset.index);
    const figure = (role) => {
      const source = element.querySelector(`.panel.${role} [data-index="${index}"]`), copy = source.cloneNode(true);
      copy.className = role;
      ['role', 'tabindex', 'data-index'].forEach((name) => copy.removeAttribute(name));
      copy.querySelector('figcaption span').textContent = role === 'base' ? 'Base' : 'Finetuned';
      return copy;
    };
    const show = () => {
      const seed = seeds[index].querySelector('figcaption span').textContent;
      dialog.querySelector('h2').textContent = `${seed[0].toUpperCase()}${seed.slice(1)}, ${index + 1} of ${seeds.length}`;
      dialog.querySelector('.both').replaceChildren(figure('base'), figure('finetuned'));
      dialog.querySelectorAll('[data-step]').forEach((button) => { button.hidden = seeds.length < 2; });
    };
    const step = (by) => { index = (index + by + seeds.length) % seeds.length; show(); };
    dialog.addEventListener('keydown', (event) => {
      const by = {ArrowLeft: -1, ArrowUp: -1, ArrowRight: 1, ArrowDown: 1}[event.key];
      if (by) { event.preventDefault(); step(by); }
    });
    dialog.addEventListener('click', (event) => {
      const button = event.target.closest('button');
      if (event.target === dialog || button?.hasAttribute('data-close')) dialog.close();
      else if (button) step(Number(button.dataset.step));
    });
    dialog.addEventListener('close', () => {
      dialog.remove();
      const role = pressed.closest('.panel').classList.contains('base') ? 'base' : 'finetuned';
      if (index !== Number(pressed.dataset.index)) choose(index);
      element.querySelector(`.panel.${role} [data-index="${index}"]`)?.focus({preventScroll: true});
    });
    show();
    tab().append(dialog);
    dialog.showModal();
    // A frame that is as high as its content has no window of its own to stand in the middle of.
    if (window.parentIFrame) dialog.style.marginTop = `${Math.max(0, pressed.getBoundingClientRect().top - 120)}px`;
  };

  /* The switch between pictures that are enlarged smoothly and by whole factors; on a phone, the way to the fields. */
  const tools = (element) => {
    element.querySelector('.to-settings').addEventListener(
      'click', () => document.querySelector('#settings').scrollIntoView({behavior: 'smooth'}));
    const box = element.querySelector('input');
    const apply = () => tab().classList.toggle('crisp', box.checked);
    box.checked = stored(CRISP) === '1';
    box.addEventListener('change', () => { store(CRISP, box.checked ? '1' : '0'); apply(); });
    apply();
  };

  return {choices, pictures, tools};
})();
