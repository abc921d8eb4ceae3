"""Looking at data before it is learnt from: a first model file, and all that is wrong with one."""

from tasks.data.examine import Examination, examine, examine_data
from tasks.data.propose import Proposal, propose

__all__ = ["Examination", "Proposal", "examine", "examine_data", "propose"]
