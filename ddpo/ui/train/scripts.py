"""What the Train tab does in the browser: choose a run by mouse or key, and bring into view what has changed."""

from __future__ import annotations

from ddpo.ui.shared import framed

CHOOSE = """
const choose = (event) => {
  const row = event.target.closest('[data-run]');
  if (!row || (event.type === 'keydown' && event.key !== 'Enter' && event.key !== ' ')) return;
  event.preventDefault();
  element.querySelectorAll('[data-run]').forEach((other) => other.classList.toggle('chosen', other === row));
  trigger('click', {run: row.dataset.run});
};
element.addEventListener('click', choose);
element.addEventListener('keydown', choose);
"""
TO_RUN = f"""
() => setTimeout(() => {{
  const trouble = document.querySelector('#train-notice .card'), card = document.querySelector('#run-status');
  if (trouble)
    trouble.scrollIntoView({{behavior: 'smooth', block: 'nearest'}});
  else if (window.parentIFrame ? window.innerWidth < 900
      : card.getBoundingClientRect().top < 0 || card.getBoundingClientRect().top > window.innerHeight - 160)
    {framed.scroll_to("#run-status")};
}}, 200)
"""
RAN = "() => studio.ran()"  # the address names the run that is shown
TO_TOP = f"() => {framed.scroll_to('.masthead')}"
SAVE_FILE = "() => document.querySelector('#result-file').click()"
