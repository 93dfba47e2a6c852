"""Pictures and pages: what is known of a stack's resources (things), as a flowchart (mermaid) and as HTML (page, report, fleet)."""
