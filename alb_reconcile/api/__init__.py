"""What `import alb_reconcile` offers, and what the command line does with it: one module for each thing that can be done."""
