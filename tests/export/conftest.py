"""The account and the commands that tests of adoption have, for those of export."""

from tests.adoption.conftest import keep as keep
from tests.adoption.conftest import world as world
