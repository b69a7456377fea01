"""Colours and shapes of the page, by the names of Gradio's theme; style.css has the rest."""

from __future__ import annotations

import gradio as gr

LOOK = {
    "body_background_fill": "#f6f7fb",
    "body_background_fill_dark": "#0c1120",
    "body_text_color_subdued": "#5b6780",
    "body_text_color_subdued_dark": "#9aa7c2",
    "block_info_text_color": "#5b6780",
    "block_info_text_color_dark": "#9aa7c2",
    "input_placeholder_color": "#5b6780",
    "input_placeholder_color_dark": "#9aa7c2",
    "block_background_fill_dark": "#141b2d",
    "block_border_color": "#e2e6f0",
    "block_border_color_dark": "#26304a",
    "block_title_background_fill": "transparent",
    "block_title_background_fill_dark": "transparent",
    "block_title_padding": "0",
    "block_title_text_color": "#334155",
    "block_title_text_color_dark": "#cbd5e1",
    "block_title_text_weight": "600",
    "block_label_background_fill": "transparent",
    "block_label_background_fill_dark": "transparent",
    "block_label_text_color": "#334155",
    "block_label_text_color_dark": "#cbd5e1",
    "input_background_fill": "#f6f7fb",
    "input_background_fill_dark": "#1c2540",
    "input_shadow": "none",
    "input_shadow_dark": "none",
    "block_padding": "10px 14px",
    "block_border_width": "1px",
    "block_shadow": "none",
    "block_shadow_dark": "none",
    "button_secondary_background_fill": "#eef0f7",
    "button_secondary_background_fill_hover": "#e2e6f2",
    "button_secondary_background_fill_dark": "#1c2540",
    "button_secondary_background_fill_hover_dark": "#26304a",
    "button_secondary_shadow": "none",
    "button_secondary_shadow_dark": "none",
    "button_primary_background_fill": "linear-gradient(135deg, #4f46e5, #7c3aed)",
    "button_primary_background_fill_hover": "linear-gradient(135deg, #4338ca, #6d28d9)",
    "button_primary_background_fill_dark": "linear-gradient(135deg, #4f46e5, #7c3aed)",
    "button_primary_background_fill_hover_dark": "linear-gradient(135deg, #6366f1, #8b5cf6)",
    "button_primary_text_color": "white",
}


def theme() -> gr.themes.Base:
    """Quiet surfaces and one accent. The fonts are the visitor's own, so nothing is fetched from elsewhere."""
    return gr.themes.Soft(
        primary_hue="indigo",
        secondary_hue="indigo",
        neutral_hue="slate",
        radius_size="lg",
        font=["Inter", "ui-sans-serif", "system-ui", "sans-serif"],
        font_mono=["ui-monospace", "Consolas", "monospace"],
    ).set(**LOOK)
