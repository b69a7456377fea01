"""The app. `python app.py` and `gradio app.py` serve the same page; port and host come from Gradio's variables."""

from ddpo.ui.page import build_demo, serve

demo = build_demo()

if __name__ == "__main__":
    serve(demo)
