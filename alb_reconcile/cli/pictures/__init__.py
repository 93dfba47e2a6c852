"""Pictures of a stack: what is in them (scene), where it stands (layout), and how it is written (svg, mermaid, page)."""
