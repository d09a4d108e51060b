"""Write the table of docs/images.md: ``python -m tests.hostile``, as root."""

from tests.hostile.cases import CASES
from tests.hostile.page import PAGE, renewed
from tests.hostile.pulling import attempt
from tests.support.engine import EngineUnderTest

if __name__ == "__main__":
    engine = EngineUnderTest()
    try:
        engine.start()
        outcomes = {case.name: attempt(engine, case) for case in CASES}
    finally:
        engine.close()
    PAGE.write_text(renewed(PAGE.read_text(encoding="utf-8"), outcomes), encoding="utf-8")
