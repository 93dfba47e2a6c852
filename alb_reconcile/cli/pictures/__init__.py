"""Draws stacks and fleets: as a Mermaid flowchart (mermaid) and as HTML (page, report, fleet), both from a list of resources (things)."""
