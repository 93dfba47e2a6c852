"""Pictures of a stack: what is in them (scene, compose), where it stands (layout), how it is written (svg, mermaid, page, report)."""
