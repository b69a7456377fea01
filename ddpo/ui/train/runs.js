/* The runs of the Train tab: the list with its filters and ticks, values of charts without a mouse, and runs together. */
Object.assign(studio, (() => {
  const MOST = 6;  // runs that are shown together, as ddpo/ui/train/run_list.py has it
  const ticked = new Set();
  let told = () => {};  // tells the server which are ticked
  let draw = () => {};  // applies filters and ticks to the list as it is now
  const rows = () => [...document.querySelectorAll('#all-runs .run-row')];

  /* Filters --------------------------------------------------------------------------------------------------- */
  const BY = {reward: 'reward', state: 'word', base: 'base'};  // what a select goes by: a fact of a row

  const runFilter = (element) => {
    const box = element.querySelector('.run-filter'), text = box.querySelector('input');
    const selects = [...box.querySelectorAll('select')];
    const offer = (select, values) => {
      const there = [...select.options].slice(1).map((option) => option.value);
      if (there.join('\n') === values.join('\n')) return;
      const chosen = select.value;
      select.length = 1;
      values.forEach((value) => select.add(new Option(value, value)));
      select.value = values.includes(chosen) ? chosen : '';
    };
    draw = () => {
      const all = rows();
      box.hidden = all.length < 2;
      selects.forEach((select) => offer(select, [...new Set(all.map((row) => row.dataset[BY[select.dataset.by]]))].sort()));
      const words = text.value.toLowerCase().split(/\s+/).filter(Boolean);
      let shown = 0;
      all.forEach((row) => {
        const said = `${row.textContent} ${row.dataset.run}`.toLowerCase();
        const fits = words.every((word) => said.includes(word))
          && selects.every((select) => !select.value || row.dataset[BY[select.dataset.by]] === select.value);
        row.hidden = !fits;
        shown += fits;
        row.querySelector('input').checked = ticked.has(row.dataset.run);
      });
      box.querySelector('.count').textContent = shown === all.length ? `(${shown})` : `(${shown} of ${all.length})`;
      const none = document.querySelector('#all-runs .none');
      if (none) none.hidden = shown > 0;
    };
    box.addEventListener('input', draw);
    draw();
  };

  /* The list -------------------------------------------------------------------------------------------------- */
  const runList = (element, trigger) => {
    told = () => trigger('input', {ticked: [...ticked]});
    let focus = null, top = 0;  // what had the keyboard before the list was replaced, and how far it was scrolled
    element.addEventListener('focusin', (event) => {
      focus = [event.target.closest('[data-run]')?.dataset.run, event.target.tagName];
    });
    element.addEventListener('focusout', (event) => { if (event.target.isConnected) focus = null; });
    element.addEventListener('scroll', (event) => { top = event.target.scrollTop; }, true);
    element.addEventListener('change', (event) => {
      const id = event.target.closest('[data-run]')?.dataset.run;
      if (!id || event.target.type !== 'checkbox') return;
      if (event.target.checked && ticked.size >= MOST) { event.target.checked = false; return; }
      ticked[event.target.checked ? 'add' : 'delete'](id);
      told();
    });
    element.addEventListener('click', (event) => {
      const row = event.target.closest('[data-run]');
      if (!row || event.target.type === 'checkbox') return;
      rows().forEach((other) => {
        other.classList.toggle('chosen', other === row);
        other.querySelector('button').setAttribute('aria-current', String(other === row));
      });
      trigger('click', {run: row.dataset.run});
    });
    studio.whenever(element, () => {
      studio.local(element);
      draw();
      const list = element.querySelector('.run-rows');
      if (list) list.scrollTop = top;
      const at = document.activeElement?.closest?.('#all-runs [data-run]')?.dataset.run;
      if (focus?.[0] && at !== focus[0]) {  // the list was patched row by row, and another run stands there now
        const row = rows().find((other) => other.dataset.run === focus[0]);
        row?.querySelector(focus[1].toLowerCase())?.focus({preventScroll: true});
      }
    });
  };

  /* Charts ---------------------------------------------------------------------------------------------------- */
  /* The columns of a chart tell their values under the pointer, and with the arrow keys. */
  const pointed = (element) => {
    const show = (plot, column) => {
      plot.querySelectorAll('u.at').forEach((other) => other.classList.remove('at'));
      column?.classList.add('at');
      const tip = plot.parentElement.querySelector('.tip');
      tip.textContent = column?.dataset.tip ?? '';
    };
    element.addEventListener('pointerover', (event) => {
      const column = event.target.closest('.plot u');
      if (column) show(column.parentElement, column);
    });
    element.addEventListener('pointerout', (event) => {
      const plot = event.target.closest('.plot');
      if (plot && !plot.contains(event.relatedTarget) && plot !== document.activeElement) show(plot, null);
    });
    element.addEventListener('keydown', (event) => {
      const plot = event.target.closest('.plot'), by = {ArrowLeft: -1, ArrowRight: 1}[event.key];
      const ends = {Home: 0, End: -1}[event.key];
      if (!plot || (by === undefined && ends === undefined)) return;
      event.preventDefault();
      const columns = [...plot.querySelectorAll('u')], now = columns.findIndex((column) => column.classList.contains('at'));
      const next = ends !== undefined ? ends : Math.min(columns.length - 1, Math.max(0, (now < 0 ? columns.length : now) + by));
      show(plot, columns.at(next));
    });
    element.addEventListener('focusin', (event) => {
      const plot = event.target.closest('.plot');
      if (plot && !plot.querySelector('u.at')) show(plot, [...plot.querySelectorAll('u')].at(-1));
    });
    element.addEventListener('focusout', (event) => {
      const plot = event.target.closest('.plot');
      if (plot) show(plot, null);
    });
  };

  /* The charts of one run; its table stays open when a new epoch replaces them. */
  const charts = (element) => {
    pointed(element);
    let open = false, at = null;  // whether the table is open, and which chart has the keyboard
    const plots = () => [...element.querySelectorAll('.plot')];
    element.addEventListener('toggle', (event) => { if (event.target.isConnected) open = event.target.open; }, true);
    element.addEventListener('focusin', (event) => { at = plots().indexOf(event.target); });
    element.addEventListener('focusout', (event) => { if (event.target.isConnected) at = null; });
    studio.whenever(element, () => {
      const table = element.querySelector('details.values');
      if (table && open) table.open = true;
      if (at !== null && at >= 0 && !element.contains(document.activeElement)) plots()[at]?.focus({preventScroll: true});
    });
  };

  /* Runs together --------------------------------------------------------------------------------------------- */
  const FIGURES = [
    ['reward', 'Reward, mean'], ['gain', 'Gain on held-out seeds'], ['diversity', 'Diversity kept'], ['kl', 'KL to the base'],
  ];
  const X = {epoch: 'epoch', pictures: 'pictures', seconds: 'seconds'};
  const short = (value) => {
    const size = Math.abs(value);
    if (size !== 0 && (size < 0.001 || size >= 1e5)) return value.toExponential(1);
    return String(Number(value.toPrecision(3)));
  };
  const escaped = (text) => Object.assign(document.createElement('i'), {textContent: text}).innerHTML.replaceAll('"', '&quot;');

  /* The points of a figure of a run, smoothed as TensorBoard does it: an average that is not drawn to its beginning. */
  const points = (run, name, x, weight) => {
    const from = name === 'gain' ? run.held_out : run;
    const found = (from[name] ?? []).map((value, i) => [from[x][i], value]).filter(([, value]) => value !== null);
    let average = 0, sum = 0;
    return found.map(([at, value]) => {
      average = average * weight + value * (1 - weight);
      sum = sum * weight + (1 - weight);
      return [at, average / sum];
    });
  };

  const COLUMNS = 60;
  const picture = (runs, name, title, tools) => {
    const curves = runs.map((run) => points(run, name, tools.x, tools.smooth));
    const all = curves.flat();
    if (!all.length) return '';
    const logarithmic = tools.log && all.every(([, y]) => y > 0);
    const scale = logarithmic ? Math.log10 : (y) => y;
    const xs = all.map(([x]) => x), ys = all.map(([, y]) => scale(y));
    const [left, right] = [Math.min(...xs), Math.max(...xs)];
    let [low, high] = [Math.min(...ys), Math.max(...ys)];
    const free = (high - low) * 0.06 || Math.abs(low) / 10 || 1;
    [low, high] = [low - free, high + free];
    const across = (x) => (right > left ? 100 * (x - left) / (right - left) : 50);
    const up = (y) => 100 - 100 * (scale(y) - low) / (high - low);
    const lines = curves.map((curve, i) => curve.length && `<polyline class="curve s${i}" points="${
      (curve.length > 1 ? curve : [[curve[0][0], curve[0][1]], curve[0]])
        .map(([x, y], n) => `${Math.min(100, Math.max(0, across(x) + (curve.length > 1 ? 0 : n ? 2 : -2))).toFixed(2)},${
          up(y).toFixed(2)}`).join(' ')}"/>`);
    const places = [...new Set(xs)].sort((a, b) => a - b);
    const stride = Math.ceil(places.length / COLUMNS), some = places.filter((_, i) => (places.length - 1 - i) % stride === 0);
    const width = some.length > 1 ? 100 / (some.length - 1) : 100;
    const columns = some.map((x) => {
      const said = runs.map((run, i) => {
        const near = curves[i].reduce((best, point) => (!best || Math.abs(point[0] - x) < Math.abs(best[0] - x) ? point : best), null);
        return near && Math.abs(near[0] - x) <= Math.max(width * (right - left) / 100, 1) ? `${run.title}: ${short(near[1])}` : '';
      }).filter(Boolean);
      const at = tools.x === 'epoch' ? `epoch ${x}` : `${short(x)} ${X[tools.x]}`;
      const [start, end] = [Math.max(0, across(x) - width / 2), Math.min(100, across(x) + width / 2)];
      return `<u style="left:${start.toFixed(2)}%;width:${(end - start).toFixed(2)}%" data-tip="${
        escaped(`${at}: ${said.join(' · ')}`)}"></u>`;
    });
    const back = logarithmic ? (value) => 10 ** value : (value) => value;
    const why = tools.log && !logarithmic ? ' · not all above 0, so not logarithmic' : '';
    const names = new Set(runs.map((run) => run.reward_name));
    const what = name === 'reward' && names.size > 1 ? `${title}, each by its own reward` : title;
    return `<figure class="chart"><figcaption><span>${escaped(what)}</span></figcaption>
      <div class="plot" tabindex="0" role="group" aria-label="${escaped(what)} of ${runs.length} runs; the arrow keys tell their values">
      <svg viewBox="0 0 100 100" preserveAspectRatio="none" aria-hidden="true">${lines.filter(Boolean).join('')}</svg>${columns.join('')}
      </div><output class="tip"></output><div class="axis"><span>${short(left)}</span><span>${short(back(low))} to ${
      short(back(high))}${why}</span><span>${short(right)} ${tools.x === 'epoch' ? '' : X[tools.x]}</span></div></figure>`;
  };

  const MOST_ROWS = 200;
  const table = (runs, tools) => {
    const blocks = FIGURES.map(([name, title]) => {
      const curves = runs.map((run) => new Map(points(run, name, tools.x, tools.smooth)));
      const xs = [...new Set(curves.flatMap((curve) => [...curve.keys()]))].sort((a, b) => a - b);
      if (!xs.length) return '';
      const stride = Math.ceil(xs.length / MOST_ROWS);
      const body = xs.filter((_, i) => (xs.length - 1 - i) % stride === 0).map((x) => `<tr><th scope="row">${short(x)}</th>${
        curves.map((curve) => `<td>${curve.has(x) ? short(curve.get(x)) : ''}</td>`).join('')}</tr>`);
      const head = runs.map((run) => `<th scope="col">${escaped(run.title)}</th>`).join('');
      return `<table><caption>${title}</caption><thead><tr><th scope="col">${X[tools.x]}</th>${head}</tr></thead><tbody>${
        body.join('')}</tbody></table>`;
    });
    return `<div class="wide" tabindex="0">${blocks.join('')}</div>`;
  };

  const overlay = (element) => {
    pointed(element);
    const tools = {x: 'epoch', smooth: 0, log: false};
    let open = false, drawn = '';  // whether the table is open, and the figures that are drawn
    const redraw = () => {
      const place = element.querySelector('.overlay-charts');
      if (!place) return;
      const runs = JSON.parse(place.dataset.overlay);
      const legend = runs.map((run, i) => `<li><i class="s${i}"></i>${escaped(run.title)}</li>`).join('');
      place.innerHTML = `<ul class="legend">${legend}</ul><div class="charts">${
        FIGURES.map(([name, title]) => picture(runs, name, title, tools)).join('')}</div>
        <details class="values"><summary>Values as a table</summary></details>`;
      const details = place.querySelector('details');
      const fill = () => { if (details.open && details.children.length < 2) details.insertAdjacentHTML('beforeend', table(runs, tools)); };
      details.addEventListener('toggle', () => { if (details.isConnected) open = details.open; fill(); });
      details.open = open;
      fill();
    };
    element.addEventListener('input', (event) => {
      const tool = event.target.dataset.tool;
      if (!tool) return;
      tools[tool] = tool === 'log' ? event.target.checked : tool === 'smooth' ? Number(event.target.value) : event.target.value;
      redraw();
    });
    element.addEventListener('click', (event) => {
      if (!event.target.closest('[data-clear]')) return;
      ticked.clear();
      draw();
      told();
    });
    studio.whenever(element, () => {
      const place = element.querySelector('.overlay-charts');
      if (!place || (place.childElementCount && place.dataset.overlay === drawn)) return;
      drawn = place.dataset.overlay;
      element.querySelector('[data-tool="x"]').value = tools.x;
      element.querySelector('[data-tool="smooth"]').value = tools.smooth;
      element.querySelector('[data-tool="log"]').checked = tools.log;
      redraw();
    });
  };

  return {runFilter, runList, charts, overlay};
})());
