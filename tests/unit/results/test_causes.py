from __future__ import annotations

from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from sltfleet.core.paths import LocalPaths
from sltfleet.results.causes import Failure, causes, group_failures
from sltfleet.results.store import Store
from tests.support.journals import RUN_ID, JournalBuilder

CAUSES = ("disk full", "no such table: t", "panic at", "syntax error near", "timed out after", "lost", "mismatch")


def test_two_hundred_failing_files_show_as_the_seven_causes_they_are(tmp_path: Path) -> None:
    journal = JournalBuilder()
    for number in range(200):
        journal.attempt(
            0, f"d/{number}.test", number, number + 1, "fail", message=f"{CAUSES[number % 7]} {number} in /x/{number}"
        )
    paths = LocalPaths(tmp_path)
    with Store.open(paths) as store:
        store.import_journal(RUN_ID, "alpha", journal.write(paths))
        found = causes(store, RUN_ID)
    assert len(found) == 7
    assert sum(len(cause.cases) for cause in found) == 200
    assert found[0].signature == "disk full <n> in <path>"
    assert (found[0].message, found[0].case, found[0].first_seen_s) == (f"{CAUSES[0]} 0 in /x/0", "d/0.test", 1)
    assert (found[0].failed, found[0].units, found[0].hosts) == (29, 29, ("alpha",))


def test_a_case_may_fail_for_several_causes_and_on_several_hosts() -> None:
    first, second, third = group_failures(
        [
            Failure("c", "u", "beta", "boom 2", 3, 2.0),
            Failure("c", "u", "alpha", "boom 1", 1, 1.0),
            Failure("c", "v", "alpha", "lost", 1, 0.5),
            Failure("d", "v", "alpha", "", 1, 0.5),
        ]
    )
    assert (first.signature, first.failed, first.hosts, first.message) == ("boom <n>", 4, ("alpha", "beta"), "boom 1")
    assert {second.cases, third.cases} == {("c",), ("d",)}


@given(
    st.lists(
        st.builds(
            Failure,
            st.sampled_from("abc"),
            st.sampled_from("uv"),
            st.sampled_from("xy"),
            st.text(max_size=5),
            st.integers(1, 9),
            st.floats(0, 9),
        )
    )
)
def test_no_failure_is_lost_or_counted_twice(failures: list[Failure]) -> None:
    found = group_failures(failures)
    assert sum(cause.failed for cause in found) == sum(failure.count for failure in failures)
    assert {case for cause in found for case in cause.cases} == {failure.case for failure in failures}
    assert len({cause.signature for cause in found}) == len(found)
