"""An HTTP service behind an AWS Application Load Balancer, from one YAML file and without a state file."""

__version__ = "0.1.0"
