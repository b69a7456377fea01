"""The page and its endpoints. They lay out components and format results; the engine does the rest."""
