/* What the closer looks do in the browser alone: the film of a denoising, tables that sort, settings of a picture. */
const explore = (() => {
  /* The slider goes through the pictures of all moments. */
  const film = (element) => element.addEventListener('input', (event) => {
    const range = event.target.closest('.film input[type=range]');
    if (!range) return;
    const section = range.closest('.film'), pictures = [...section.querySelectorAll('img')];
    pictures.forEach((picture, place) => { picture.hidden = place !== Number(range.value); });
    const said = pictures[Number(range.value)].alt.split(': base above')[0];
    section.querySelector('output').textContent = said;
    range.setAttribute('aria-valuetext', said);
  });

  /* A press on a head sorts the table by its column, and once more the other way round. */
  const sortable = (element) => element.addEventListener('click', (event) => {
    const button = event.target.closest('th button.sort');
    if (!button) return;
    const head = button.closest('th'), table = head.closest('table'), body = table.tBodies[0];
    const column = [...head.parentNode.children].indexOf(head);
    const down = head.getAttribute('aria-sort') !== 'descending';
    table.querySelectorAll('th[aria-sort]').forEach((other) => other.removeAttribute('aria-sort'));
    head.setAttribute('aria-sort', down ? 'descending' : 'ascending');
    const value = (row) => row.cells[column].dataset.value ?? row.cells[column].textContent;
    const order = (a, b) => (Number.isNaN(Number(a)) || Number.isNaN(Number(b)) ? a.localeCompare(b) : a - b);
    const rows = [...body.rows].sort((a, b) => order(value(a), value(b)) * (down ? -1 : 1));
    body.append(...rows);
  });

  /* Settings that a picture carries: the address gets them, and the page reads its address again. */
  const settings = (element) => element.addEventListener('click', (event) => {
    const link = event.target.closest('a.use-settings');
    if (!link) return;
    event.preventDefault();
    open(link.getAttribute('href'));
  });

  const open = (address) => {
    history.pushState({draft: false}, '', address);
    window.dispatchEvent(new PopStateEvent('popstate', {state: {draft: false}}));
  };

  /* A PNG of this app that is dropped on the Compare tab fills its fields; it is read here, and goes nowhere. */
  const FIELDS = ['pair', 'scheduler', 'steps', 'eta', 'samples', 'seed', 'scorer', 'base', 'tuned'];
  const MOST_BYTES = 10_000_000, LONGEST = 500, HEAD = 8;  // of a file; characters of a value; bytes before the chunks

  /* The texts of a PNG before its pixels, by keyword (PNG specification, 11.3.3). */
  const texts = (buffer) => {
    const view = new DataView(buffer), found = {}, latin = new TextDecoder('latin1'), utf = new TextDecoder();
    for (let at = HEAD; at + 12 <= buffer.byteLength;) {
      const length = view.getUint32(at), kind = latin.decode(new Uint8Array(buffer, at + 4, 4));
      if (kind === 'IDAT' || at + 12 + length > buffer.byteLength) break;
      const data = new Uint8Array(buffer, at + 8, length), end = data.indexOf(0);
      if (kind === 'tEXt') found[latin.decode(data.subarray(0, end))] = latin.decode(data.subarray(end + 1));
      if (kind === 'iTXt' && data[end + 1] === 0) {
        const language = data.indexOf(0, end + 3), translated = data.indexOf(0, language + 1);
        found[latin.decode(data.subarray(0, end))] = utf.decode(data.subarray(translated + 1));
      }
      at += 12 + length;
    }
    return found;
  };

  const dropped = async (file) => {
    if (file.size > MOST_BYTES) return;
    const found = texts(await file.arrayBuffer());
    if (found.Software !== 'ddpo-studio') return;
    const settings = JSON.parse(found.settings);
    const known = FIELDS.filter((name) => ['string', 'number'].includes(typeof settings[name]));
    const values = known.map((name) => [name, String(settings[name]).slice(0, LONGEST)]);
    if (values.length) open(`?${new URLSearchParams(values)}`);
  };

  /* Uploads take what is dropped on them; elsewhere a browser would leave the page for the picture. */
  const onCompare = (event) => [...(event.dataTransfer?.types ?? [])].includes('Files')
    && document.querySelector('#compare-tab')?.contains(event.target);
  document.addEventListener('dragover', (event) => { if (onCompare(event)) event.preventDefault(); });
  document.addEventListener('drop', (event) => {
    if (!onCompare(event)) return;
    event.preventDefault();
    const [file] = event.dataTransfer.files;
    if (file) dropped(file).catch(() => {});  // whatever is no picture of this app changes nothing
  });

  return {film, sortable, settings};
})();
