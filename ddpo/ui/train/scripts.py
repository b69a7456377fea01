"""What the Train tab brings into view in the browser. `runs.js` and `fields.js` have the rest."""

from __future__ import annotations

from ddpo.ui.shared import framed

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
TO_FORM = f"() => {framed.scroll_to('#train-tab')}"
SAVE_FILE = "() => document.querySelector('#result-file').click()"
