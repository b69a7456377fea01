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
    history.pushState({draft: false}, '', link.getAttribute('href'));
    window.dispatchEvent(new PopStateEvent('popstate', {state: {draft: false}}));
  });

  return {film, sortable, settings};
})();
