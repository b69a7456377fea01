/* What the page does in the browser alone: the larger view of a seed, how small pictures are enlarged, the address,
   and the last comparisons. */
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
      ['role', 'tabindex', 'data-index', 'aria-label'].forEach((name) => copy.removeAttribute(name));
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
      const active = document.activeElement;  // the event comes after the closing; who has gone on keeps the focus
      const moved = active !== document.body && !dialog.contains(active) && !element.contains(active);
      dialog.remove();
      const role = pressed.closest('.panel').classList.contains('base') ? 'base' : 'finetuned';
      if (index !== Number(pressed.dataset.index)) choose(index);
      if (!moved) element.querySelector(`.panel.${role} [data-index="${index}"]`)?.focus({preventScroll: true});
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

  /* The address, which follows the page: the settings are the link, and Back brings them back. */
  const FIELDS = ['pair', 'scheduler', 'steps', 'eta', 'samples', 'seed', 'scorer', 'base', 'tuned'];
  const DELAY = 300;  // milliseconds without a change before the address follows; browsers bound how often it may
  const LAST = {compared: 'ddpo-compared', evaluated: 'ddpo-evaluated'};  // in the browser's storage
  let facts = {};  // what the server says of itself, see ddpo/ui/address.py
  let settle;  // once the fields are as the address has them for the first time
  const settling = new Promise((done) => { settle = done; });
  let live = false;  // whether the fields are as the address has them, so that it may follow
  let named = false;  // whether the fields belong in the address: not before one was changed or compared
  let fields = '', timer = 0;
  let touched = false;  // whether the page was used since the address was read: if not, a change is a late answer
  ['pointerdown', 'keydown', 'input'].forEach(
    (kind) => document.addEventListener(kind, () => { touched = true; }, true));
  let drawing = '';  // the settings that are being compared
  let read = null;  // has the server read the address again

  const selected = () => document.querySelector('[role=tab][aria-selected=true]')?.dataset.tabId ?? 'compare';

  const withWords = (scorer, like, unlike) =>
    scorer + (facts.words?.includes(scorer) && like ? `:${like}${unlike ? `|${unlike}` : ''}` : '');

  const query = (values) =>
    new URLSearchParams(Object.entries(values).filter(([, value]) => value != null && value !== '')).toString();

  const settings = ([pair, scheduler, steps, eta, samples, seed, scorer, like, unlike, base, tuned]) => {
    const own = pair === facts.own ? {base, tuned} : {};
    return query({pair, scheduler, steps, eta, samples, seed, scorer: withWords(scorer, like, unlike), ...own});
  };

  /* The address of the Evaluate tab; its parameters are those of ddpo/ui/evaluate/link.py. */
  const evaluation = (() => {
    const PREFIX = 'eval-';
    let now = '', named = false;

    const whole = (entry) => entry.replaceAll('%', '%25').replaceAll(',', '%2C');
    const list = (entries) => (entries ?? []).map(whole).join(',');
    const read = ([pair, base, tuned, others, schedulers, steps, seeds, scorer, like, unlike, also, seed, eta]) => {
      const values = {
        pair, ...(pair === facts.own ? {base, tuned} : {}), others: list(others), schedulers: list(schedulers), steps,
        seeds, scorer: withWords(scorer, like, unlike), also: list(also), seed, eta,
      };
      return query(Object.fromEntries(Object.entries(values).map(([name, value]) => [PREFIX + name, value])));
    };
    const isOurs = (name) => name.startsWith(PREFIX);

    return {
      isOurs,
      address: (always) => (always || named ? now : ''),
      changed: (values) => {
        const next = read(values);
        if (!live || next === now) return;
        now = next;
        if (!touched) return;
        named = true;
        clearTimeout(timer);
        timer = setTimeout(() => write(true), DELAY);
      },
      begun: (values) => {
        [now, named] = [read(values), true];
        store(LAST.evaluated, now);
        write(false);
      },
      opened: (values) => {
        now = read(values);
        named = [...new URLSearchParams(location.search).keys()].some(isOurs);
      },
    };
  })();

  /* The tab and what is on it; `always`: an evaluation too that is as the page opens with it. */
  const place = (always = false) => {
    const shown = selected(), found = new URLSearchParams(shown === 'compare' ? {} : {tab: shown});
    const run = shown === 'train' && document.querySelector('#run-status [data-run]')?.dataset.run;
    if (run) found.set('run', run);
    return joined(found.toString(), shown === 'evaluate' && evaluation.address(always));
  };

  const joined = (...parts) => parts.filter(Boolean).join('&');

  /* What of the address is not ours, such as the theme. */
  const others = () => {
    const left = new URLSearchParams(location.search);
    ['tab', 'run', ...FIELDS, ...[...left.keys()].filter(evaluation.isOurs)].forEach((name) => left.delete(name));
    return left.toString();
  };

  /* The Hub's page of a Space keeps its own address, which follows what it is told. */
  const inHub = () => window.parent !== window && document.referrer.startsWith(`${facts.hub}/`);
  const tell = () => {
    if (!inHub()) return;
    const told = new URLSearchParams(location.search);
    [...told.keys()].filter((name) => name.startsWith('__')).forEach((name) => told.delete(name));
    window.parent.postMessage({queryString: told.toString()}, facts.hub);
  };

  /* A draft, which is of fields that were changed since, is replaced by the next change; all else stays behind. */
  const write = (draft) => {
    clearTimeout(timer);
    if (!live) return;
    const query = joined(place(), named && fields, others()), url = query ? `?${query}` : location.pathname;
    if (query === new URLSearchParams(location.search).toString()) history.replaceState({draft}, '');
    else history[draft && history.state?.draft ? 'replaceState' : 'pushState']({draft}, '', url);
    tell();
  };

  const changed = (values) => {
    const now = settings(values);
    if (!live || now === fields) return;
    fields = now;
    if (!touched) return;
    named = true;
    clearTimeout(timer);
    timer = setTimeout(() => write(true), DELAY);
  };

  const compared = (values) => {
    [fields, named] = [settings(values), true];
    drawing = fields;
    store(LAST.compared, fields);
    write(false);
  };

  /* The page loads: what the server says of itself, for the settings that this browser used last, as an address has
     them. */
  const begin = (told) => {
    facts = told;
    return [stored(LAST.compared) ?? '', stored(LAST.evaluated) ?? ''];
  };

  /* A tab was selected, perhaps because the address says so; or the visitor has chosen or begun a run. */
  const moved = () => setTimeout(() => {
    if (selected() !== (new URLSearchParams(location.search).get('tab')?.toLowerCase() ?? 'compare')) write(false);
  });
  const ran = () => setTimeout(() => write(false), DELAY);

  /* The fields are as the address has them. */
  const opened = (values) => {
    fields = settings(values);
    named = linked();
    live = true;
    document.documentElement.classList.remove('linked');
    requestAnimationFrame(settle);
    setTimeout(settle, 500);  // a frame that is out of sight is never drawn
  };
  const settled = () => settling;

  /* Whether the address names fields. Until the server has said what it has of them, nothing else is to be seen. */
  const linked = () => FIELDS.some((name) => new URLSearchParams(location.search).has(name));
  document.documentElement.classList.toggle('linked', linked());
  setTimeout(() => document.documentElement.classList.remove('linked'), 5000);

  const listen = (trigger) => {
    read = (how) => { [live, touched] = [false, false]; trigger('click', how); tell(); };
    window.addEventListener('popstate', () => read({open: false}));
  };

  const link = () => {
    const root = inHub() && facts.space ? `${facts.hub}/spaces/${facts.space}` : location.origin + location.pathname;
    return `${root}?${place(true) || fields}`;
  };

  /* The button that copies the link, in a page without a clipboard too. */
  const copying = (element) => {
    const button = element.querySelector('.copy-link'), label = button.textContent;
    button.addEventListener('click', async () => {
      try { await navigator.clipboard.writeText(link()); } catch { copyByHand(link(), button); }
      button.textContent = 'Link copied';
      setTimeout(() => { button.textContent = label; }, 2000);
    });
  };

  const copyByHand = (text, button) => {
    const field = document.createElement('textarea');
    field.value = text;
    button.after(field);
    field.select();
    document.execCommand('copy');
    field.remove();
    button.focus();
  };

  /* The last comparisons of this browser, the newest first: each is its settings, and a thumbnail of either model. */
  const RECENT = 'ddpo-recent', MOST = 10, THUMBNAIL = 56;
  let recents = [], strip = null;

  const known = () => {
    try {
      const entries = JSON.parse(stored(RECENT) ?? '[]');
      return entries.filter((entry) => typeof entry.query === 'string' && typeof entry.title === 'string'
        && entry.pictures.length === 2 && entry.pictures.every((source) => source.startsWith('data:image/')));
    } catch { return []; }
  };

  const thumbnail = (picture) => {
    const canvas = Object.assign(document.createElement('canvas'), {width: THUMBNAIL, height: THUMBNAIL});
    canvas.getContext('2d').drawImage(picture, 0, 0, THUMBNAIL, THUMBNAIL);
    return canvas.toDataURL('image/webp', 0.8);
  };

  /* A comparison is done: once its pictures are on the page, it is the newest. */
  const finished = async () => {
    const query = drawing;
    await new Promise((later) => setTimeout(later, DELAY));
    const pictures = [...document.querySelectorAll('#pictures .done .pic.chosen img')];
    if (pictures.length !== 2) return;
    await Promise.all(pictures.map((picture) => picture.decode()));
    const text = (selector) => document.querySelector(selector)?.textContent ?? '';
    const title = `${text('#status .how')} · difference ${text('#figures .tile:nth-child(3) b')}`;
    const entry = {query, title, pictures: pictures.map(thumbnail)};
    recents = [entry, ...recents.filter((other) => other.query !== query)].slice(0, MOST);
    store(RECENT, JSON.stringify(recents));
    draw();
  };

  const draw = () => {
    if (!strip) return;
    strip.replaceChildren(...recents.map(({query, title, pictures}) => {
      const button = Object.assign(document.createElement('button'), {type: 'button', title});
      button.setAttribute('aria-label', `Open again: ${title}`);
      button.append(...pictures.map((src) => Object.assign(new Image(), {src, alt: ''})));
      button.addEventListener('click', () => open(query));
      return button;
    }));
    strip.closest('.recent').hidden = recents.length === 0;
  };

  const recent = (element) => {
    strip = element.querySelector('.thumbnails');
    recents = known();
    draw();
  };

  const open = (query) => {
    history.pushState({draft: false}, '', `?${joined(query, others())}`);
    read({open: true});
  };

  return {
    choices, pictures, tools, changed, compared, begin, evaluation, moved, ran, opened, settled, listen, copying, recent, finished,
  };
})();
