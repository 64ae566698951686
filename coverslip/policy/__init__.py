"""Policies: what may stay, what must go, and why."""

from coverslip.policy.load import BUILTIN, files_of, load
from coverslip.policy.model import Action, Decision, Form, Keep, Plan, Policy, Remove, Replace, Rule

__all__ = [
    "BUILTIN",
    "Action",
    "Decision",
    "Form",
    "Keep",
    "Plan",
    "Policy",
    "Remove",
    "Replace",
    "Rule",
    "files_of",
    "load",
]
