"""From what is wanted and what there is to ordered steps. Pure: nothing here asks AWS or the clock."""
